"""The two small tasks about one API execution that today's workers offer (contract: tasks 6.2)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.executions import Execution
from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id

__all__ = ["Asked", "cleaned_up", "read_asked", "status_of", "status_report"]


@frozen
class Asked:
    """The execution that a task is about."""

    execution_id: str
    organization_id: str


def read_asked(args: Sequence[object], kwargs: Mapping[str, object]) -> Asked:
    """Read (execution_id, organization_id). Raises MessageError."""
    if len(args) > 2:
        raise MessageError(f"expected at most 2 arguments, got {len(args)}", field="args")
    given = dict(zip(("execution_id", "organization_id"), args, strict=False)) | dict(kwargs)
    return Asked(execution_id(given.get("execution_id")), organization_id(given.get("organization_id")))


def status_of(backend: Backend, asked: Asked) -> dict[str, object]:
    """Read the execution's status from the backend. Raises BackendError."""
    return status_report(backend.executions.get(asked.organization_id, asked.execution_id))


def status_report(execution: Execution) -> dict[str, object]:
    """The answer of `api_deployment_status_check`."""
    return {
        "execution_id": execution.id,
        "status": execution.status.value,
        "created_at": execution.created_at or None,
        "modified_at": execution.modified_at or None,
        "total_files": execution.total_files,
        "attempts": execution.attempts,
        "execution_time": execution.execution_time,
        "error_message": execution.error_message or None,
        "is_api_deployment": True,
    }


def cleaned_up(asked: Asked, task_id: str) -> dict[str, object]:
    """The answer of `api_deployment_cleanup`, which does nothing: the callback worker cleans up."""
    return {
        "execution_id": asked.execution_id,
        "cleanup_completed": True,
        "cleanup_time": datetime.now(UTC).isoformat(),
        "task_id": task_id,
    }
