"""The terminal status of an execution: written once with its counts, read back, never over another terminal status."""

from uuid import uuid4

from attrs import evolve

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.executions import Execution, StatusUpdate
from unstract_worker_core.errors import BackendUnavailable, NotFound, OutcomeUnknown
from unstract_worker_core.ledger import FinalState
from unstract_worker_core.retries import Retrying
from unstract_worker_core.statuses import ExecutionStatus

_RETRYING = Retrying(attempts=3, timeout=None)


def existing_terminal(final: FinalState, execution: Execution) -> FinalState | None:
    """The final state that the backend shows; None if its status is not terminal.

    The first terminal status is kept: that of an earlier attempt, of a user's stop, or of another worker.
    """
    if not execution.status.terminal:
        return None
    if execution.status is final.status:
        return final
    return evolve(final, status=execution.status, error=execution.error_message or None)


def write_final_status(
    backend: Backend, organization_id: str, execution_id: str, final: FinalState, key: str
) -> FinalState:
    """Write status, counts and error in one call and read them back.

    Returns:
        The final state that the backend shows afterwards: `final`, or another terminal one that came first.

    Raises:
        BackendUnavailable: twice another write replaced the status.
        BackendError: the status could not be written or read.
    """

    def once() -> FinalState:
        try:
            return _write_and_read_back(backend, organization_id, execution_id, final, key)
        except OutcomeUnknown:  # read before the write is repeated
            shown = existing_terminal(final, backend.executions.get(organization_id, execution_id))
            if shown is None:
                raise
            return shown

    return _RETRYING(OutcomeUnknown, once)


def add_counts(
    backend: Backend, organization_id: str, execution_id: str, final: FinalState, status: ExecutionStatus, key: str
) -> None:
    """Write an execution's terminal status again, with the counts that it lacks. Raises BackendError."""
    backend.executions.update_status(organization_id, execution_id, _update(evolve(final, error=None), status), key=key)


def correct_late_write(backend: Backend, organization_id: str, execution_id: str, final: FinalState) -> bool:
    """Read back once more, and write the terminal status over a late EXECUTING. Returns whether that was needed."""
    if final.status is None:
        return False
    try:
        execution = backend.executions.get(organization_id, execution_id)
    except NotFound:
        return False
    if execution.status.terminal:
        return False
    write_final_status(backend, organization_id, execution_id, final, key=f"{execution_id}:recheck:{final.status}")
    return True


def _write_and_read_back(
    backend: Backend, organization_id: str, execution_id: str, final: FinalState, key: str
) -> FinalState:
    if final.status is None:
        raise ValueError("a final state needs a status")
    update = _update(final, final.status)
    # A backend that keeps keys would only repeat its answer to the first write, so the second has its own key.
    for each in (key, f"{key}:{uuid4().hex}"):
        backend.executions.update_status(organization_id, execution_id, update, key=each)
        shown = existing_terminal(final, backend.executions.get(organization_id, execution_id))
        if shown is not None:
            return shown
    raise BackendUnavailable(
        "the status was accepted but is not what the backend shows", endpoint="workflow-execution.read_back"
    )


def _update(final: FinalState, status: ExecutionStatus) -> StatusUpdate:
    return StatusUpdate(
        status=status,
        total_files=final.total_files,
        successful_files=final.successful_files,
        failed_files=final.failed_files,
        error_message=final.error,
    )
