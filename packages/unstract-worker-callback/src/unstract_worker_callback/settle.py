"""Writing a terminal status: once, with its counts, read back, and never over another terminal one."""

from uuid import uuid4

from attrs import evolve

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.models import Execution, StatusUpdate
from unstract_worker_core.errors import BackendUnavailable, NotFound, OutcomeUnknown
from unstract_worker_core.ledger import FinalState
from unstract_worker_core.repeating import repeated

__all__ = ["existing_terminal", "recheck", "settle", "write_final"]


def existing_terminal(final: FinalState, execution: Execution) -> FinalState | None:
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

    Where the read-back shows that another write came after it, it is written once more. Raises BackendUnavailable when
    that did not last either.
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
    for each in (key, _fresh(key)):  # a backend that keeps keys would only replay its answer to the first
        backend.executions.update_status(organization_id, execution_id, update, key=each)
        stands = existing_terminal(final, backend.executions.get(organization_id, execution_id))
        if stands is not None:
            return stands
    raise BackendUnavailable(
        "the status was accepted but is not what the backend shows", endpoint="workflow-execution.read_back"
    )


def _fresh(key: str) -> str:
    """The key of a write that must be carried out even if it was once."""
    return f"{key}:{uuid4().hex}"


def settle(backend: Backend, organization_id: str, execution_id: str, final: FinalState, key: str) -> FinalState:
    """As `write_final`, but a write of unknown outcome is looked for before it is repeated."""

    def once() -> FinalState:
        try:
            return write_final(backend, organization_id, execution_id, final, key)
        except OutcomeUnknown:
            stands = existing_terminal(final, backend.executions.get(organization_id, execution_id))
            if stands is None:
                raise
            return stands

    return repeated(once, on=OutcomeUnknown, attempts=3, timeout=None)


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
