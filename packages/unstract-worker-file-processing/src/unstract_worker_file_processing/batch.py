"""One batch: claim it, process its files one after the other, complete it, ring for the callback worker."""

import time

from unstract_worker_core.doorbells import BatchDoorbell
from unstract_worker_core.errors import BackendError, SteppedAside
from unstract_worker_core.ledger import BatchClaim, BatchRefusal, RunState
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_file_processing.deferred import Parked
from unstract_worker_file_processing.executor import GuardedExecutor
from unstract_worker_file_processing.process_file import charging_defects, process_file
from unstract_worker_file_processing.session import BatchSession, HandedBack
from unstract_worker_file_processing.status_writer import StatusWriter

_log = get_logger(__name__)


def handle_doorbell(runtime: Runtime, executor: GuardedExecutor, doorbell: BatchDoorbell) -> None:
    """Process the batch that a doorbell names, if it is free and not done.

    Raises:
        SteppedAside, LedgerError: the batch is not finished; it was given back, or its lease will lapse.
    """
    claim = runtime.ledger.batches.claim(doorbell.run_id, doorbell.epoch, doorbell.batch, runtime.token())
    if isinstance(claim, BatchRefusal):
        _log.info("batch doorbell without work", run_id=doorbell.run_id, batch=doorbell.batch, reason=claim.reason)
        return
    process_batch(runtime, executor, claim)


def process_batch(runtime: Runtime, executor: GuardedExecutor, claim: BatchClaim) -> RunState:
    """Process a claimed batch, and ring for the callback worker if it was the run's last.

    Returns:
        The run's state once the batch is complete.

    Raises:
        SteppedAside: the batch was given back to the ledger.
        LeaseLost, LedgerUnavailable: the lease lapsed, or will lapse.
    """
    runtime.progress.claim_made()
    repeated = claim.fence > 1 and not claim.requests  # claiming it again for an answer is no repetition
    runtime.metrics.attempts.labels("batch", "yes" if repeated else "no").inc()
    context, ends = claim.context, time.monotonic() + runtime.settings.process.time_limit - claim.age_seconds
    ids = {"execution_id": context.execution_id, "organization_id": context.organization_id}
    traced = runtime.traces.span(context.execution_id, "batch", batch=claim.batch, files=len(claim.files))
    with bind_task(**ids, batch_id=claim.batch), traced, runtime.keeper.batch(claim) as held:
        session = BatchSession(runtime, executor, claim, held, ends, stopped=claim.stop)
        writer = StatusWriter(session)
        try:
            state = _process_files(session, writer)
        except Parked:
            raise  # the batch was given back already
        except SteppedAside as error:
            _try_flush(writer)
            _release(runtime, claim, error)
            raise
        except BackendError as error:
            handed_back = HandedBack.after(error, runtime)
            _release(runtime, claim, handed_back)
            raise handed_back from None
        if state is RunState.READY and not context.chord:  # a chord's own message finishes its batch
            runtime.doorbells.ring_callback(claim.run_id)
        with charging_defects(session, claim.files[-1]):  # the batch is complete; a chord's message must come again
            writer.report()
        return state


def _process_files(session: BatchSession, writer: StatusWriter) -> RunState:
    """Process the files without an outcome, then complete the batch. Returns the run's state."""
    claim = session.claim
    with session.runtime.periodic.calling(writer.tick):
        for file in claim.files:
            if file.number not in claim.recorded:
                process_file(session, writer, file)
        with charging_defects(session, claim.files[-1]):
            return writer.complete()


def _release(runtime: Runtime, claim: BatchClaim, error: SteppedAside) -> None:
    charge_file = error.charge_file if isinstance(error, HandedBack) else 0
    runtime.ledger.batches.release(
        claim, delay_seconds=error.delay_seconds, charge_file=charge_file, reason=error.reason
    )


def _try_flush(writer: StatusWriter) -> None:
    """Write the files that ended before the batch is given back. What cannot be written is left to the next owner."""
    try:
        writer.flush()
    except Exception as error:  # noqa: BLE001 - boundary: the batch must be given back after any error
        _log.warning("statuses are left to the next owner", reason=str(error), kind=type(error).__name__)
