"""The definition of a worker: its type, its package, its tasks, its background services; and its settings."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NoReturn, Protocol

from attrs import Factory, frozen
from celery import Celery

from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import Settings, load_settings
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.observability.logs import configure_logging, open_standard_streams
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import WorkerType

RuntimeOf = Callable[[], Runtime]
Register = Callable[[Celery, RuntimeOf], None]


class Service(Protocol):
    """Something that runs beside the tasks in its own thread, such as the sweeper."""

    def start(self) -> None:
        """Start; must not block."""

    def stop(self) -> None:
        """Stop and wait briefly."""


Services = Callable[[Runtime], tuple[Service, ...]]


@frozen
class WorkerDefinition:
    """One worker.

    Attributes:
        package: import package, such as ``unstract_worker_callback``.
        register: adds the tasks to the Celery app; must not build the runtime, only keep the function.
        services: what runs beside the tasks in the main process.
        commands: the worker's own commands, as ``module:function`` by name; the function gets this definition.
        checks: what `check` looks at for this worker alone, as ``module:function``; the function gets the settings and
            the organizations, and gives lines (`operator.check.Line`).
        operations: the backend's operations that this worker calls: what `conformance` tries.
        operations_of: the same, by the settings; None: they do not depend on them.
    """

    worker: WorkerType
    package: str
    register: Register
    services: Services = lambda runtime: ()
    commands: Mapping[str, str] = Factory(dict)
    checks: str = ""
    operations: tuple[Operation, ...] = ()
    operations_of: Callable[[Settings], tuple[Operation, ...]] | None = None


def settings_or_exit(
    definition: WorkerDefinition, environ: Mapping[str, str], *, development: bool = False
) -> Settings:
    """The settings; or every fault on stderr, by variable and without values, and exit code 2."""
    open_standard_streams()
    try:
        settings = load_settings(environ, worker=definition.worker, development=development)
        configure_logging(settings.logging, secrets=settings.secrets())
    except ConfigurationError as error:
        refuse_start(definition, error)
    return settings


def refuse_start(definition: WorkerDefinition, error: ConfigurationError) -> NoReturn:
    """End a process that cannot start: every fault on stderr, and exit code 2."""
    faults = (f"\n  {fault.variable}: {fault.problem}" for fault in error.faults)
    with suppress(OSError):  # the exit code says it too
        sys.stderr.write(f"{definition.worker.distribution} cannot start:{''.join(faults)}\n")
    raise SystemExit(2) from None
