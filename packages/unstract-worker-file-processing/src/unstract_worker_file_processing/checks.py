"""What `check` looks at for this worker alone: the file executor."""

from collections.abc import Iterator, Sequence

from unstract_worker_core.config import Settings
from unstract_worker_core.config.sections import PLATFORM_EXECUTOR
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.operator.check.lines import Line
from unstract_worker_file_processing.executor import BACKEND, executor_factory
from unstract_worker_file_processing.platform.checks import platform_lines

__all__ = ["executor_lines"]


def executor_lines(settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    """Whether the executor that WORKER_FILE_EXECUTOR names can be loaded, and of `platform` what it needs."""
    name = settings.files.executor
    if name == BACKEND:
        yield Line("file executor", "ok", "backend: the platform's backend executes files (see `conformance`)")
        return
    try:
        factory = executor_factory(name)
    except ConfigurationError as error:
        yield Line("file executor", "fail", "; ".join(f"{fault.variable} {fault.problem}" for fault in error.faults))
        return
    except Exception as error:  # noqa: BLE001 - boundary: an operator's package may fail in any way while it is imported
        yield Line("file executor", "fail", f"{name} cannot be loaded: {type(error).__name__}: {error}")
        return
    yield Line("file executor", "ok", f"{name} ({factory.__module__})")
    if name == PLATFORM_EXECUTOR:
        yield from platform_lines(settings, organizations)
