"""The end of an execution: counts its files, decides its status, writes it once, and reads it back.

The decision is made of pure functions. A terminal status is never written over another one.
"""

from collections import Counter
from collections.abc import Iterable
from uuid import uuid4

from attrs import evolve, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.executions import Execution, StatusUpdate
from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.errors import BackendUnavailable, NotFound, OutcomeUnknown
from unstract_worker_core.ledger import FileOutcome, FinalState, OutcomeKind, RunContext
from unstract_worker_core.messages.batch import BatchResult
from unstract_worker_core.retries import Retrying
from unstract_worker_core.statuses import ExecutionStatus

_RETRYING = Retrying(attempts=3, timeout=None)


@frozen
class Totals:
    """Numbers of uploaded files; total = successful + failed + skipped. `reason`: of the first failure."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    skipped: int = 0
    reason: str | None = None

    def plus(self, outcome: FileOutcome) -> "Totals":
        """These totals plus one outcome, which counts for each of its uploads."""
        files = outcome.uploads
        more = evolve(self, total=self.total + files)
        if outcome.kind is OutcomeKind.COMPLETED:
            return evolve(more, successful=self.successful + files)
        if outcome.kind is OutcomeKind.SKIPPED:
            return evolve(more, skipped=self.skipped + files)
        return evolve(more, failed=self.failed + files, reason=self.reason or outcome.error)


def totals_before(context: RunContext) -> Totals:
    """The files that ended in an earlier run of this execution that the ledger lost."""
    completed, failed = context.completed_before, context.failed_before
    reason = "failed before the run was started again" if failed else None
    return Totals(total=completed + failed, successful=completed, failed=failed, reason=reason)


def count(outcomes: Iterable[FileOutcome], *, before: Totals | None = None) -> Totals:
    """Count a run's outcomes, added to `before`."""
    totals = before or Totals()
    for outcome in outcomes:
        totals = totals.plus(outcome)
    return totals


def count_rows(rows: Iterable[FileExecution]) -> Totals:
    """Count an execution's rows in the backend; a row that has not ended counts as skipped."""
    by_status = Counter(row.status for row in rows)
    total = by_status.total()
    successful, failed = by_status[ExecutionStatus.COMPLETED], by_status[ExecutionStatus.ERROR]
    return Totals(total, successful, failed, total - successful - failed)


def count_results(results: Iterable[BatchResult]) -> Totals:
    """Count what a chord's batches report. A negative number counts as 0, a missing total as the sum of its parts."""
    successful = failed = skipped = total = 0
    for result in results:
        good, bad = max(0, result.successful_files), max(0, result.failed_files)
        gone = max(0, result.skipped_files, result.skipped_already_completed)
        total += max(result.total_files, good + bad + gone)
        successful += good
        failed += bad
        skipped += gone
    return Totals(total=total, successful=successful, failed=failed, skipped=skipped)


def final_state(totals: Totals, context: RunContext, *, expected: int, stopped: bool) -> FinalState:
    """Decide the final state of an execution. A file without an outcome is never a success.

    Args:
        totals: of the run's outcomes.
        context: of the run; its error or stop decides the status.
        expected: number of files that the execution was started with.
        stopped: whether the user stopped the execution; a stop wins over every status that is not written yet.
    """
    final = FinalState(
        total_files=max(totals.total, expected) if totals.total else expected,
        successful_files=totals.successful,
        failed_files=totals.failed,
    )
    if stopped or context.stopped:
        return evolve(final, status=ExecutionStatus.STOPPED)
    if context.error:
        return evolve(final, status=ExecutionStatus.ERROR, error=context.error)
    if totals.total < expected:
        missing = expected - totals.total
        return evolve(final, status=ExecutionStatus.ERROR, error=f"{missing} of {expected} files reported no outcome")
    if totals.failed and totals.failed == totals.total:
        reason = totals.reason or "no reason was given"
        return evolve(final, status=ExecutionStatus.ERROR, error=f"all {totals.failed} files failed; first: {reason}")
    return evolve(final, status=ExecutionStatus.COMPLETED)


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
    """Read the status again, and write the terminal one over a late EXECUTING. Returns whether that was needed."""
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
