"""One batch: claim it, bring each of its files to an outcome, complete it, ring the callback."""

import time
from collections.abc import Callable
from typing import TypeVar

from attrs import evolve

from unstract_worker_core.api_results import ApiResults
from unstract_worker_core.doorbells import BatchDoorbell
from unstract_worker_core.errors import BackendError, LedgerError, SteppedAside
from unstract_worker_core.ledger import (
    BatchClaim,
    BatchRefusal,
    FileItem,
    FileOutcome,
    RunContext,
    RunState,
)
from unstract_worker_core.messages import result_items
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.observability.tracing import step_span
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_file_processing.executor import FileExecutor
from unstract_worker_file_processing.file_steps import MOST_CHARGES, outcome_of
from unstract_worker_file_processing.paces import Paces
from unstract_worker_file_processing.row_statuses import RowStatuses
from unstract_worker_file_processing.work import BatchWork, HandedBack, pause_seconds

__all__ = ["process_batch", "push_items", "work_on"]

T = TypeVar("T")
_log = get_logger(__name__)


def process_batch(runtime: Runtime, executor: FileExecutor, paces: Paces, bell: BatchDoorbell) -> None:
    """Answer a doorbell. Whatever is not finished is back in the ledger when this raises."""
    claim = runtime.ledger.batches.claim(bell.run_id, bell.epoch, bell.batch, runtime.token())
    if isinstance(claim, BatchRefusal):
        _log.info("batch doorbell without work", run_id=bell.run_id, batch=bell.batch, reason=claim.reason)
        return
    state = work_on(runtime, executor, paces, claim)
    if state is RunState.READY and not claim.context.chord:  # a chord's own message finishes its batch
        runtime.doorbells.ring_callback(bell.run_id)


def work_on(runtime: Runtime, executor: FileExecutor, paces: Paces, claim: BatchClaim) -> RunState:
    """Process a claimed batch; the state that completing it led to.

    Raises SteppedAside once the batch was handed back, LeaseLost and LedgerUnavailable.
    """
    runtime.progress.claim_made()
    runtime.metrics.attempts.labels("batch", "yes" if claim.fence > 1 else "no").inc()
    ends = time.monotonic() + runtime.settings.process.time_limit - claim.age_seconds
    batches, context = runtime.ledger.batches, claim.context
    ids = {"execution_id": context.execution_id, "organization_id": context.organization_id}
    traced = runtime.traces.span(context.execution_id, "batch", batch=claim.batch, files=len(claim.files))
    with bind_task(**ids, batch_id=str(claim.batch)), traced, runtime.keeper.batch(claim) as held:
        work = BatchWork(runtime, executor, claim, held, ends, paces, stopped=claim.stop)
        statuses = RowStatuses(work)
        try:
            with runtime.ticker.calling(statuses.tick):
                for file in claim.files:
                    if file.number not in claim.recorded:
                        _process_file(work, statuses, file)
                return _stored(work, claim.files[-1], statuses.complete)
        except SteppedAside as error:
            _settle_rest(statuses)
            charged = error.charge_file if isinstance(error, HandedBack) else 0
            batches.release(claim, delay_seconds=error.delay_seconds, charge_file=charged)
            raise
        except BackendError as error:
            delay = pause_seconds(runtime)
            batches.release(claim, delay_seconds=delay)
            raise SteppedAside(str(error), delay_seconds=delay) from None


def _process_file(work: BatchWork, statuses: RowStatuses, file: FileItem) -> None:
    charges = work.claim.charges.get(file.number, 0)
    alone = 0 < charges < MOST_CHARGES
    with bind_task(file_execution_id=file.file_execution_id):
        gate = work.runtime.solo.alone() if alone else work.runtime.solo.shared(work.begin_none)
        with step_span("file", file=file.number), gate:
            outcome = outcome_of(work, statuses, file)
        _stored(work, file, lambda: _end(work, statuses, file, outcome))


def _end(work: BatchWork, statuses: RowStatuses, file: FileItem, outcome: FileOutcome) -> None:
    if work.context.chord:
        work.kept(lambda: push_items(work.runtime, work.claim.run_id, work.context, outcome))
        outcome = evolve(outcome, result=None, metadata={})
    statuses.ends(file, outcome)


def _stored(work: BatchWork, file: FileItem, step: Callable[[], T]) -> T:
    """Store outcomes; one that cannot be stored would come back for ever, so a defect is charged to the file."""
    try:
        return step()
    except (LedgerError, BackendError, SteppedAside):
        raise
    except Exception as error:
        _log.exception("an outcome could not be settled", kind=type(error).__name__)
        reason = f"file {file.number}: {type(error).__name__}"
        raise HandedBack(reason, delay_seconds=pause_seconds(work.runtime), charge_file=file.number) from error


def _settle_rest(statuses: RowStatuses) -> None:
    """Before a batch is handed back: what ended shows. What cannot be written now is done by the next owner."""
    try:
        statuses.settle()
    except Exception as error:  # noqa: BLE001 - whatever it is, the batch must go back
        _log.warning("statuses are left to the next owner", reason=str(error), kind=type(error).__name__)


def push_items(runtime: Runtime, run_id: str, context: RunContext, outcome: FileOutcome) -> None:
    """Append the API items of a chord's file, once. Raises LedgerUnavailable."""
    if context.kind is RunKind.API:
        results = ApiResults(runtime.platform_redis, ttl_seconds=runtime.settings.files.result_ttl_seconds)
        marker, items = f"{run_id}:{outcome.number}", tuple(result_items(outcome))
        results.push_once(context.workflow_id, context.execution_id, marker, items)
