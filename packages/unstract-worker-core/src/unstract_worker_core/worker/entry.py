"""The ways into a worker process: our own entry point, and the app that Celery's command finds in the package."""

import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

import click

from unstract_worker_core.config import Settings, load_settings
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.failpoints import enable
from unstract_worker_core.observability.logs import configure_logging, get_logger, open_standard_streams
from unstract_worker_core.observability.prefork_metrics import VARIABLE, SharedFolder
from unstract_worker_core.worker.command_line import CheckFirst, check_command_line, ignore_variables_of_options
from unstract_worker_core.worker.definition import WorkerDefinition

if TYPE_CHECKING:
    from celery import Celery

    from unstract_worker_core.worker.process import WorkerProcess


def run_worker(definition: WorkerDefinition, *, development: bool = False) -> NoReturn:
    """Run the worker that the environment describes until a signal ends it. Exit code 2: it cannot start."""
    from unstract_worker_core.queues import consumed_queues

    process = _process(definition, os.environ, development=development)
    settings = process.settings
    worker = process.app.Worker(
        hostname=settings.process.hostname or f"{definition.worker.value}@{settings.instance}",
        queues=list(consumed_queues(settings)),
        loglevel=settings.logging.level,
        quiet=True,
    )
    worker.start()
    process.finish(worker.exitcode or 0)


def app_of(definition: WorkerDefinition) -> "Celery":
    """The app for ``celery -A package``, made from the environment.

    Exits with 2 where that cannot be used, or where Celery is to run a command or an option that is refused.
    """
    process = _process(definition, os.environ)

    def check(context: click.Context) -> None:
        try:
            check_command_line(context, process.settings.logging.file, process.settings.process.pool)
        except ConfigurationError as error:
            _refuse(definition, error)

    process.app.user_options["preload"].add(CheckFirst(check))
    ignore_variables_of_options()
    return process.app


def settings_or_exit(
    definition: WorkerDefinition, environ: MutableMapping[str, str], *, development: bool = False
) -> Settings:
    """The settings; or every fault on stderr, by variable and without values, and exit code 2."""
    open_standard_streams()
    try:
        settings = load_settings(environ, worker=definition.worker, development=development)
        configure_logging(settings.logging, secrets=settings.secrets())
    except ConfigurationError as error:
        _refuse(definition, error)
    return settings


def _refuse(definition: WorkerDefinition, error: ConfigurationError) -> NoReturn:
    faults = (f"\n  {fault.variable}: {fault.problem}" for fault in error.faults)
    with suppress(OSError):  # the exit code says it too
        sys.stderr.write(f"{definition.worker.distribution} cannot start:{''.join(faults)}\n")
    raise SystemExit(2) from None


def _process(
    definition: WorkerDefinition, environ: MutableMapping[str, str], *, development: bool = False
) -> "WorkerProcess":
    settings = settings_or_exit(definition, environ, development=development)
    try:
        shared = _shared_metrics(settings, environ)
        enable(settings.crash_point)
    except ConfigurationError as error:
        _refuse(definition, error)
    # Late: they import prometheus_client, which decides when it is imported where values are kept.
    from unstract_worker_core.worker.celery_settings import drop_celery_variables
    from unstract_worker_core.worker.process import WorkerProcess

    log = get_logger(__name__)
    for warning in settings.warnings:
        log.warning("configuration", problem=warning)
    for name in drop_celery_variables(environ):
        log.warning("configuration", problem=f"{name} has no effect: it would bypass the worker's own variables")
    return WorkerProcess(definition, settings, shared)


def _shared_metrics(settings: Settings, environ: MutableMapping[str, str]) -> SharedFolder | None:
    """Where prefork children keep their metrics; None for threads. Raises ConfigurationError."""
    environ.pop(VARIABLE, None)
    if settings.process.pool != "prefork":
        return None
    parent = settings.process.metrics_dir
    try:
        shared = SharedFolder.made_in(parent)
    except OSError as error:
        where = parent or "the temporary folder"
        problem = f"no folder for the children's metrics can be made in {where}: {error.strerror}"
        raise ConfigurationError((Fault(VARIABLE, problem),)) from None
    shared.choose(environ)
    return shared
