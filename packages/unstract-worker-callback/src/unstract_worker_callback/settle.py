"""Writing a terminal status: once, with its counts, read back, and never over another terminal one."""

from attrs import evolve

from unstract_worker_core.client import Backend
from unstract_worker_core.client.models import Execution, StatusUpdate
from unstract_worker_core.errors import BackendUnavailable, NotFound
from unstract_worker_core.ledger import FinalState

__all__ = ["recheck", "settled_by", "write_final"]


def settled_by(final: FinalState, execution: Execution) -> FinalState | None:
    """The final state that already stands in the backend, or None while nothing terminal does.

    The first terminal status stays: ours from an attempt before this one, a user's stop, or another worker's.
    """
    if not execution.status.terminal:
        return None
    if execution.status is final.status:
        return final
    return evolve(final, status=execution.status, error=execution.error_message or None)


def write_final(backend: Backend, organization_id: str, execution_id: str, final: FinalState, key: str) -> FinalState:
    """Write status, counts and error in one call and read them back; returns what stands.

    Raises BackendUnavailable when the read-back shows that nothing terminal was stored.
    """
    if final.status is None:
        raise ValueError("a final state needs a status")
    update = StatusUpdate(
        status=final.status,
        total_files=final.total_files,
        successful_files=final.successful_files,
        failed_files=final.failed_files,
        error_message=final.error,
    )
    backend.executions.update_status(organization_id, execution_id, update, key=key)
    stands = settled_by(final, backend.executions.get(organization_id, execution_id))
    if stands is None:
        raise BackendUnavailable(
            "the status was accepted but is not what the backend shows", endpoint="workflow-execution.read_back"
        )
    return stands


def recheck(backend: Backend, organization_id: str, execution_id: str, final: FinalState) -> bool:
    """The second read-back: a late EXECUTING write over our terminal status is corrected. True if it was."""
    if final.status is None:
        return False
    try:
        execution = backend.executions.get(organization_id, execution_id)
    except NotFound:
        return False
    if execution.status.terminal:
        return False
    write_final(backend, organization_id, execution_id, final, key=f"{execution_id}:recheck:{final.status}")
    return True
