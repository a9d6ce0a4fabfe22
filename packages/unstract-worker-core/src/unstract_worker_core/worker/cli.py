"""The commands of a worker, and how its process is made. Celery's own command comes in by `command_line.app_of`."""

import errno
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from unstract_worker_core.config import Settings, read_dotenv
from unstract_worker_core.config.obsolete import CELERY_READS_ITSELF
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.failpoints import enable
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import consumed_queues
from unstract_worker_core.worker.definition import WorkerDefinition, refuse_start, settings_or_exit

if TYPE_CHECKING:
    from unstract_worker_core.worker.process import WorkerProcess

_METRICS_VARIABLE, _METRICS_PREFIX = "PROMETHEUS_MULTIPROC_DIR", "unstract-worker-metrics-"
# The output's disk is full: click takes care of a reader that is gone (EPIPE) only.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_HERE = "unstract_worker_core.operator"
# Imported when they are asked for.
_OPERATORS = {
    "check": f"{_HERE}.check.command:check",
    "conformance": f"{_HERE}.conformance.command:conformance",
    "dead-letters": f"{_HERE}.dead_letters_command:dead_letters",
    "fleet": f"{_HERE}.fleet_command:fleet",
    "scaling": f"{_HERE}.scaling_command:scaling",
}


def command_line(definition: WorkerDefinition) -> click.Group:
    """The command group of one worker."""
    name = definition.worker.distribution
    group = _Commands(name=name, help=f"The Unstract {definition.worker.value.replace('_', '-')} worker.")
    group.of_operators = (definition, _OPERATORS | dict(definition.commands))
    click.version_option(package_name=name, prog_name=name)(group)

    @group.command(help="Run the worker until a signal ends it (SIGTERM drains; a second one hands back at once).")
    @click.option("--development", is_flag=True, help="Read .env and allow the development key.")
    def run(*, development: bool) -> None:
        load_dotenv(development=development)
        run_worker(definition, development=development)

    return group


class _Commands(click.Group):
    """Imports an operator's command only when it is asked for: `run` does not need them."""

    of_operators: tuple[WorkerDefinition, Mapping[str, str]]

    def main(self, *args: Any, **extra: Any) -> Any:
        """As click's. Output that cannot be written is one line and exit code 1, not a traceback."""
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            with suppress(OSError):
                click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # buffered output would fail again at the interpreter's end
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.of_operators[1]})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        definition, commands = self.of_operators
        if cmd_name not in commands:
            return super().get_command(ctx, cmd_name)
        module, _, function = commands[cmd_name].partition(":")
        made: click.Command = getattr(import_module(module), function)(definition)
        return made


def load_dotenv(*, development: bool) -> None:
    """In development, set what `.env` names and the environment does not."""
    if not development:
        return
    try:
        for name, value in read_dotenv(Path(".env")).items():
            os.environ.setdefault(name, value)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None


def drop_celery_variables() -> tuple[str, ...]:
    """Remove the variables that Celery would read by itself; the names of those that were set."""
    return tuple(name for name in CELERY_READS_ITSELF if os.environ.pop(name, None))


def run_worker(definition: WorkerDefinition, *, development: bool = False) -> NoReturn:
    """Run the worker that the environment describes until a signal ends it. Exit code 2: it cannot start."""
    process = make_process(definition, development=development)
    settings = process.settings
    worker = process.app.Worker(
        hostname=settings.process.hostname or f"{definition.worker.value}@{settings.instance}",
        queues=list(consumed_queues(settings)),
        loglevel=settings.logging.level,
        quiet=True,
    )
    worker.start()
    process.finish(worker.exitcode or 0)


def make_process(definition: WorkerDefinition, *, development: bool = False) -> "WorkerProcess":
    """The process that the environment describes, nothing started. Exit code 2: it cannot be used."""
    settings = settings_or_exit(definition, os.environ, development=development)
    try:
        shared = _shared_metrics(settings)
        enable(settings.crash_point)
    except ConfigurationError as error:
        refuse_start(definition, error)
    # Late: it imports prometheus_client, which decides when it is imported where values are kept.
    from unstract_worker_core.worker.process import WorkerProcess

    log = get_logger(__name__)
    for warning in settings.warnings:
        log.warning("configuration", problem=warning)
    for name in drop_celery_variables():
        if name == "CELERY_RESULT_BACKEND":  # the settings read it, and warn where it has no effect
            continue
        log.warning("configuration", problem=f"{name} has no effect: it would bypass the worker's own variables")
    return WorkerProcess(definition, settings, shared)


def _shared_metrics(settings: Settings) -> Path | None:
    """Where prefork children keep their metrics; None for threads. Raises ConfigurationError."""
    os.environ.pop(_METRICS_VARIABLE, None)
    if settings.process.pool != "prefork":
        return None
    parent = settings.process.metrics_dir
    try:
        folder = make_metrics_folder(parent)
    except OSError as error:
        where = parent or "the temporary folder"
        problem = f"no folder for the children's metrics can be made in {where}: {error.strerror}"
        raise ConfigurationError((Fault(_METRICS_VARIABLE, problem),)) from None
    os.environ[_METRICS_VARIABLE] = str(folder)
    return folder


def make_metrics_folder(parent: str | None) -> Path:
    """A new folder, below `parent` or the system's temporary folder; those of killed workers go. Raises OSError."""
    folder = Path(tempfile.mkdtemp(prefix=_METRICS_PREFIX, dir=parent))
    # Held, by the descriptor, for as long as this process or a child of it lives.
    fcntl.flock(os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
    for lock in folder.parent.glob(f"{_METRICS_PREFIX}*/lock"):
        with suppress(OSError):  # held, gone meanwhile, or of another user
            with lock.open("r+b") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    return folder
