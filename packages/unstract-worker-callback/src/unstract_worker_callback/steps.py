"""The steps of finalising a claimed run, each of which may be repeated: results, pipeline, clean-up, end."""

from collections.abc import Iterator
from functools import cache

import structlog
from attrs import frozen

from unstract_worker_callback.verdict import Totals
from unstract_worker_core.api_results import ApiResults
from unstract_worker_core.backend.models import PipelineUpdate
from unstract_worker_core.errors import (
    BackendError,
    BackendUnavailable,
    LeaseLost,
    LedgerUnavailable,
    MessageError,
    OutcomeUnknown,
    WorkerError,
)
from unstract_worker_core.ledger import FinalState, Held, RunClaim, RunContext
from unstract_worker_core.messages import ApiResultItem, result_items
from unstract_worker_core.statuses import ExecutionStatus, RunKind, pipeline_status_for
from unstract_worker_core.ui_logs import LogEvent
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["ATTEMPTS", "Run", "clean_up", "close", "update_pipeline", "write_results"]

# Claims that failed for another reason than an unreachable backend or Redis, before the run is ended in ERROR.
ATTEMPTS = 5
_log = structlog.get_logger(__name__)


@frozen
class Run:
    """One claimed run while it is finalised."""

    runtime: Runtime
    claim: RunClaim
    held: Held
    context: RunContext
    totals: Totals

    @property
    def key(self) -> str:
        """Idempotency key of the run's end; that of each part starts with it."""
        return f"{self.context.execution_id}:{self.claim.epoch}:final"

    @property
    def last_try(self) -> bool:
        """Whether this claim must end the run with what can be had."""
        return self.claim.attempts >= ATTEMPTS


def write_results(run: Run) -> None:
    """The API caller's list, in place before the terminal status that releases the caller."""
    if run.context.kind is not RunKind.API or run.context.chord:
        return
    results = ApiResults(run.runtime.platform_redis, ttl_seconds=run.runtime.settings.files.result_ttl_seconds)
    try:
        results.replace(run.context.workflow_id, run.context.execution_id, _items(run))
    except (LeaseLost, LedgerUnavailable):
        raise
    except WorkerError as error:
        if not run.last_try:
            raise
        _log.error("the run ends without its results", reason=str(error))


def _items(run: Run) -> Iterator[ApiResultItem]:
    for outcome in run.runtime.ledger.runs.outcomes(run.claim.run_id):
        yield from result_items(outcome)
    # Asked after the last was read: an owner that was paused saw outcomes vanish and must not put a rest in place.
    run.held.check()


def update_pipeline(run: Run, final: FinalState) -> None:
    """The pipeline's last run, told once. Raises BackendUnavailable or OutcomeUnknown: to be repeated later."""
    context = run.context
    if context.kind is RunKind.API or context.pipeline_id is None or final.status is None:
        return
    if "pipeline" in run.claim.journal:
        return
    run.held.check()
    update = PipelineUpdate(pipeline_status_for(final.status), is_end=True)
    try:
        run.runtime.backend.pipelines.update(
            context.organization_id, context.pipeline_id, update, key=f"{run.key}:pipeline"
        )
    except (BackendUnavailable, OutcomeUnknown):
        raise
    except (BackendError, MessageError) as error:  # inactive, gone, no UUID: the execution's own status stands
        _log.warning("the pipeline's status was refused", pipeline_id=context.pipeline_id, error=str(error))
    run.runtime.ledger.runs.note(run.claim, "pipeline", str(final.status))


def clean_up(run: Run) -> None:
    """Staging directories are the backend's; today's offers no clean-up, which is counted."""
    context = run.context
    run.held.check()
    try:
        offered = run.runtime.backend.executions.cleanup(
            context.organization_id, [context.execution_id], key=f"{run.key}:cleanup"
        )
    except BackendError as error:
        _log.warning("staging directories were not cleaned up", error=str(error))
        return
    if not offered:
        run.runtime.metrics.cleanup_not_offered.inc()
        _tell_not_offered()


@cache
def _tell_not_offered() -> None:
    """Once per process."""
    _log.warning("the backend does not offer to clean up staging directories: do it there")


def close(run: Run, final: FinalState) -> None:
    """A last line for the platform's log, then DONE."""
    context, ledger = run.context, run.runtime.settings.ledger
    level = "INFO" if final.status is ExecutionStatus.COMPLETED else "ERROR"
    run.runtime.log_events.log(
        LogEvent(
            context.log_channel,
            f"Execution ended {final.status}: {final.successful_files} of {final.total_files} files succeeded, "
            f"{final.failed_files} failed." + (f" {final.error}" if final.error else ""),
            context.execution_id,
            context.organization_id,
            stage="TERMINATION",
            level=level,
        )
    )
    closed = run.runtime.ledger.runs.finish(
        run.claim, final, recheck_seconds=ledger.recheck_seconds, tombstone_seconds=ledger.tombstone_seconds
    )
    _log.info("execution finalised", status=str(final.status), closed=closed, total_files=final.total_files)
