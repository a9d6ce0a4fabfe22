"""From outcomes to the final state: counting files and deciding the status. Pure functions."""

from collections.abc import Iterable

from attrs import evolve, frozen

from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.ledger import FileOutcome, FinalState, OutcomeKind, RunContext
from unstract_worker_core.messages import BatchResult
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["Totals", "count", "count_results", "count_rows", "final_state", "totals_before"]


@frozen
class Totals:
    """Uploaded files by how they ended; total = successful + failed + skipped. `reason`: of the first failure."""

    total: int = 0
    successful: int = 0
    failed: int = 0
    skipped: int = 0
    reason: str | None = None

    def plus(self, outcome: FileOutcome) -> "Totals":
        """These totals and one more outcome, which counts for every upload that shares it."""
        files = outcome.uploads
        more = evolve(self, total=self.total + files)
        if outcome.kind is OutcomeKind.COMPLETED:
            return evolve(more, successful=self.successful + files)
        if outcome.kind is OutcomeKind.SKIPPED:
            return evolve(more, skipped=self.skipped + files)
        return evolve(more, failed=self.failed + files, reason=self.reason or outcome.error)


def totals_before(context: RunContext) -> Totals:
    """The files that ended in a run of the same execution before the ledger lost it."""
    completed, failed = context.completed_before, context.failed_before
    reason = "failed before the run was started again" if failed else None
    return Totals(total=completed + failed, successful=completed, failed=failed, reason=reason)


def count(outcomes: Iterable[FileOutcome], *, before: Totals | None = None) -> Totals:
    """Count a run's outcomes, on top of those from `before`."""
    totals = before or Totals()
    for outcome in outcomes:
        totals = totals.plus(outcome)
    return totals


def count_rows(rows: Iterable[FileExecution]) -> Totals:
    """Count an execution's rows as the backend has them; those that have not ended were not started."""
    totals = Totals()
    for row in rows:
        totals = evolve(
            totals,
            total=totals.total + 1,
            successful=totals.successful + (row.status is ExecutionStatus.COMPLETED),
            failed=totals.failed + (row.status is ExecutionStatus.ERROR),
        )
    return evolve(totals, skipped=totals.total - totals.successful - totals.failed)


def count_results(results: Iterable[BatchResult]) -> Totals:
    """Count what the batches of a chord report; a batch without a total has the sum of its parts, none below 0."""
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
    """The final state of an execution.

    `expected` is how many files it was started with. Nothing reported is not success; a stop wins over everything
    that was not written before it.
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
