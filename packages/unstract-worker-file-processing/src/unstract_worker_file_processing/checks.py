"""What `check` looks at for this worker alone: the file executor."""

from collections.abc import Iterator

from unstract_worker_core.config import Settings
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.operator.check.lines import Line
from unstract_worker_file_processing.executor import BACKEND, executor_factory

__all__ = ["executor_lines"]


def executor_lines(settings: Settings) -> Iterator[Line]:
    """Whether the executor that WORKER_FILE_EXECUTOR names is installed and can be loaded."""
    name = settings.files.executor
    if name == BACKEND:
        yield Line("file executor", "ok", "backend: the platform's backend executes files (see `conformance`)")
        return
    try:
        factory = executor_factory(name)
    except ConfigurationError as error:
        yield Line("file executor", "fail", "; ".join(f"{fault.variable} {fault.problem}" for fault in error.faults))
    except Exception as error:  # noqa: BLE001 - boundary: an operator's package may fail in any way while it is imported
        yield Line("file executor", "fail", f"{name} cannot be loaded: {type(error).__name__}: {error}")
    else:
        yield Line("file executor", "ok", f"{name} ({factory.__module__})")
