"""What the Unstract workers share. Importing it has no effect: a name is imported when it is first used.

These names and `unstract_worker_core.testing` are public; every other name is internal and may change in any release.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unstract_worker_core.backend import Backend
    from unstract_worker_core.config import Settings, load_settings
    from unstract_worker_core.errors import (
        BackendError,
        BackendRefused,
        BackendUnavailable,
        ConfigurationError,
        LeaseLost,
        LedgerError,
        LedgerUnavailable,
        MessageError,
        NotFound,
        OutcomeUnknown,
        SteppedAside,
        UnexpectedAnswer,
        WorkerError,
    )
    from unstract_worker_core.ledger import Ledger
    from unstract_worker_core.runs.run_handler import retry_until_accepted
    from unstract_worker_core.runs.runtime import Delivery, Runtime
    from unstract_worker_core.statuses import ExecutionStatus, RunKind, WorkerType
    from unstract_worker_core.worker.cli import command_line
    from unstract_worker_core.worker.definition import WorkerDefinition
    from unstract_worker_core.worker.tasks import add_task

__all__ = [
    "Backend",
    "BackendError",
    "BackendRefused",
    "BackendUnavailable",
    "ConfigurationError",
    "Delivery",
    "ExecutionStatus",
    "LeaseLost",
    "Ledger",
    "LedgerError",
    "LedgerUnavailable",
    "MessageError",
    "NotFound",
    "OutcomeUnknown",
    "RunKind",
    "Runtime",
    "Settings",
    "SteppedAside",
    "UnexpectedAnswer",
    "WorkerDefinition",
    "WorkerError",
    "WorkerType",
    "__version__",
    "add_task",
    "command_line",
    "load_settings",
    "retry_until_accepted",
]

__version__: str

# The module of each public name that is no error.
_MODULES = {
    "Backend": "backend",
    "Delivery": "runs.runtime",
    "ExecutionStatus": "statuses",
    "Ledger": "ledger",
    "RunKind": "statuses",
    "Runtime": "runs.runtime",
    "Settings": "config",
    "WorkerDefinition": "worker.definition",
    "WorkerType": "statuses",
    "add_task": "worker.tasks",
    "command_line": "worker.cli",
    "load_settings": "config",
    "retry_until_accepted": "runs.run_handler",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("unstract-worker-core")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
