"""Ends a stopped run without the workers that would take its next step: they may all be gone.

Work under a live lease is left to its owner. A file that has run keeps its result; one that never started is skipped.
"""

from collections.abc import Sequence

from unstract_worker_core import serialization
from unstract_worker_core.errors import WorkerError
from unstract_worker_core.fleet import Fleet
from unstract_worker_core.ledger import BatchClaim, BatchRefusal, FileItem, FileOutcome, OutcomeKind, RunState, RunTask
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.failure_policy import Place, is_permanent, reason_of
from unstract_worker_core.runs.outcomes import NOT_STARTED, Executed, error_text, last_status, to_outcome
from unstract_worker_core.runs.run_handler import Job, handle_run
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.runs.session import Decision, Release, RunSession, start_of
from unstract_worker_core.runs.start import LoadedRun, give_up, load_run
from unstract_worker_core.statuses import WorkerType

_LATER_SECONDS = 10.0
_LOST = "the execution was stopped after the worker that executed this file had died"
_WITH_EXECUTOR = "the execution was stopped while the executor had the file"

_log = get_logger(__name__)


def end_start(runtime: Runtime, run_id: str) -> None:
    """End a stopped run that has no batches yet. Raises what the step raised, after giving the run back."""
    handle_run(runtime, run_id, {RunTask.EXECUTION: Job(step=_end_before_start, give_up=give_up)})


def _end_before_start(session: RunSession) -> Decision:
    loaded = load_run(session, start_of(session.claim))
    return Release("it was not stopped", _LATER_SECONDS) if isinstance(loaded, LoadedRun) else loaded


def end_batches(runtime: Runtime, run_id: str, epoch: int, batches: Sequence[int]) -> None:
    """Give every file of these batches its outcome, and have the run finalised once no batch is left.

    Raises:
        WorkerError: backend or ledger does not answer. The batch is due again later.
    """
    for batch in batches:
        claim = runtime.ledger.batches.claim(run_id, epoch, batch, runtime.token())
        if isinstance(claim, BatchRefusal):  # a worker has it, or has completed it
            continue
        if not claim.stop:
            runtime.ledger.batches.release(claim)
        elif _can_be_answered(runtime, claim):
            runtime.ledger.batches.release(claim, delay_seconds=_LATER_SECONDS)
            runtime.doorbells.ring_batches(run_id, epoch=epoch, batches=(batch,), kind=claim.context.kind)
        else:
            _end(runtime, claim)


def _can_be_answered(runtime: Runtime, claim: BatchClaim) -> bool:
    """Whether an executor has a file of the batch, and a worker lives that can take its answer."""
    if not any(_with_executor(claim, file) for file in claim.files):
        return False
    members = Fleet(runtime.ledger.redis).members()
    return any(each.alive and each.heartbeat.worker == WorkerType.FILE_PROCESSING for each in members)


def _with_executor(claim: BatchClaim, file: FileItem) -> bool:
    number = file.number
    return number in claim.requests and number not in claim.recorded and number not in claim.executed


def _end(runtime: Runtime, claim: BatchClaim) -> None:
    context = claim.context
    ids = {"execution_id": context.execution_id, "organization_id": context.organization_id}
    with bind_task(**ids, batch_id=claim.batch), runtime.keeper.batch(claim) as held:
        outcomes = [_outcome(claim, file) for file in claim.files if file.number not in claim.recorded]
        try:
            _write_rows(runtime, claim, outcomes)
            held.check()
        except WorkerError as error:
            reason = reason_of(error)
            runtime.ledger.batches.release(claim, delay_seconds=_LATER_SECONDS, reason=reason)
            raise
        texts = {outcome.number: serialization.encode(outcome) for outcome in outcomes}
        state = runtime.ledger.batches.complete(claim, texts)
        _log.info("batch of a stopped run ended", files=len(outcomes), state=state.value)
    for outcome in outcomes:
        runtime.metrics.files.labels(outcome.kind.lower()).inc(outcome.uploads)
    if state is RunState.READY:
        runtime.doorbells.ring_callback(claim.run_id)


def _outcome(claim: BatchClaim, file: FileItem) -> FileOutcome:
    note = claim.executed.get(file.number)
    if note is not None:  # it ran: only its outcome was not recorded
        return to_outcome(claim.context, file, serialization.structure(note, Executed))
    if _with_executor(claim, file):
        return to_outcome(claim.context, file, Executed(error=error_text(processing=_WITH_EXECUTOR)))
    if file.number in claim.charges:
        return to_outcome(claim.context, file, Executed(error=error_text(processing=_LOST)))
    return to_outcome(claim.context, file, Executed(error=NOT_STARTED))


def _write_rows(runtime: Runtime, claim: BatchClaim, outcomes: Sequence[FileOutcome]) -> None:
    """Write the last status of each row; that of a file that never started, only if the batch had an owner before."""
    rows = [
        (outcome.file_execution_id, last_status(outcome))
        for outcome in outcomes
        if outcome.file_execution_id is not None and (claim.fence > 1 or outcome.kind is not OutcomeKind.SKIPPED)
    ]
    key = f"{claim.run_id}:{claim.epoch}:{claim.batch}.{claim.fence}:statuses-abort"
    try:
        failed = runtime.backend.files.update_statuses(claim.context.organization_id, rows, key=key)
    except WorkerError as error:
        if not is_permanent(error, Place.FILE):
            raise
        _log.warning("rows of a stopped run keep their status", reason=reason_of(error))
    else:
        if failed:
            _log.warning("rows of a stopped run keep their status", rows=len(failed))
