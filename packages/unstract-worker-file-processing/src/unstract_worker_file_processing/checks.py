"""What `check` looks at for this worker alone: the file executor."""

from collections.abc import Iterator, Sequence

from unstract_worker_core.config import Settings
from unstract_worker_core.config.sections import PLATFORM_EXECUTOR
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.operator.check import Line
from unstract_worker_core.worker.celery_app import build_runtime
from unstract_worker_file_processing.executor import BACKEND, executor_factory, load_executor
from unstract_worker_file_processing.platform.checks import platform_lines


def executor_lines(settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    """Whether the executor that WORKER_FILE_EXECUTOR names can be loaded, and of `platform` what it needs."""
    name = settings.files.executor
    if name == BACKEND:
        yield Line("file executor", "ok", "backend: the platform's backend executes files (see `conformance`)")
        return
    try:
        load_executor(build_runtime(settings))  # as `run` does; nothing is connected
    except ConfigurationError as error:
        yield Line("file executor", "fail", "; ".join(f"{fault.variable} {fault.problem}" for fault in error.faults))
        return
    yield Line("file executor", "ok", f"{name} ({executor_factory(name).__module__})")
    if name == PLATFORM_EXECUTOR:
        yield from platform_lines(settings, organizations)
