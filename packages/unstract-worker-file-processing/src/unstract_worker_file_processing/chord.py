"""Chord mode: `process_file_batch` messages of today's orchestrators, whose results a chord waits for.

Each message has a run of its own in the ledger, with one batch, so that a redelivery does nothing twice: while the
lease lives it waits, after the end it returns what was recorded. API items are pushed as each file ends.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve

from unstract_worker_core.backend.models import Execution
from unstract_worker_core.errors import LeaseLost, LedgerUnavailable, SteppedAside
from unstract_worker_core.identifiers import opaque_id
from unstract_worker_core.ledger import (
    BatchClaim,
    FileItem,
    FileOutcome,
    FinalState,
    OutcomeKind,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.messages import BatchMessage, BatchResult
from unstract_worker_core.observability.logs import bind_task
from unstract_worker_core.runs.failure_policy import RetryDelays, hand_over, is_permanent, reason_of
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.worker.boundary import accepting
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_file_processing.batch import push_items, work_on
from unstract_worker_file_processing.chord_files import IN_USE, Verdict, items_of, verdicts
from unstract_worker_file_processing.executor import FileExecutor
from unstract_worker_file_processing.outcomes import ended, error_text
from unstract_worker_file_processing.paces import Paces

__all__ = ["batch_result", "process_chord_batch"]

_EPOCH = 1  # such a run is armed once
_BATCH = 0


def process_chord_batch(
    runtime: Runtime, executor: FileExecutor, paces: Paces, message: BatchMessage, task_id: str
) -> dict[str, Any]:
    """What the chord gets for this message. Raises SteppedAside or LedgerError when it is to come again."""
    context, runs = message.context, runtime.ledger.runs
    run_id = f"{context.execution_id}.{opaque_id(task_id, field='task_id')}"
    with bind_task(execution_id=context.execution_id, organization_id=context.organization_id):
        accepting(
            runtime,
            lambda: runs.accept(
                run_id,
                task=RunTask.CHORD_BATCH,
                kind=context.kind,
                organization_id=context.organization_id,
                start="{}",
            ),
        )
        if runs.state(run_id) is RunState.ACCEPTED:
            _prepare(runtime, run_id, message)
        if runs.state(run_id) is RunState.ARMED:
            claim = runtime.ledger.batches.claim(run_id, _EPOCH, _BATCH, runtime.token())
            if isinstance(claim, BatchClaim):
                work_on(runtime, executor, paces, claim)
        if runs.state(run_id) is RunState.READY:
            _finish(runtime, run_id, message)
        final = runs.final(run_id)
    if final is None:
        lease = runtime.settings.ledger.lease_seconds
        raise SteppedAside("another delivery of this batch is at work", delay_seconds=lease)
    return final.detail


def batch_result(
    items: Iterable[FileItem], outcomes: Iterable[FileOutcome], journal: Mapping[str, str], organization_id: str
) -> BatchResult:
    """Every upload counted once (contract: tasks 4.3): what was neither run nor failed counts as done already."""
    uploads = {item.number: item.uploads for item in items}
    done, failed, seconds = 0, 0, 0.0
    for outcome in outcomes:
        done += outcome.uploads * (outcome.kind is OutcomeKind.COMPLETED)
        failed += outcome.uploads * (outcome.kind is OutcomeKind.ERROR)
        seconds += outcome.seconds
    reasons = {number: Verdict.read(journal.get(f"file:{number}", "")).reason for number in uploads}
    failed += sum(uploads[number] for number, reason in reasons.items() if reason)
    total = sum(uploads.values())
    return BatchResult(
        total_files=total,
        successful_files=done,
        failed_files=failed,
        execution_time=round(seconds, 3),
        skipped_already_completed=total - done - failed,
        skipped_active_duplicate=sum(uploads[number] for number, reason in reasons.items() if reason == IN_USE),
        organization_id=organization_id,
    )


def _prepare(runtime: Runtime, run_id: str, message: BatchMessage) -> None:
    """Rows for the files, then ARMED. Raises SteppedAside after handing the run back."""
    runs = runtime.ledger.runs
    claim = runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    if claim is None:
        return
    with runtime.keeper.run(claim) as held:
        try:
            context, ready = _ready(RunSession(runtime, claim, held), message)
            runs.arm(claim, [ready] if ready else [], context)
        except (LeaseLost, LedgerUnavailable):
            raise
        except Exception as error:  # boundary of one attempt: whatever went wrong, the run must go back
            over = hand_over(error, attempts=claim.attempts, waits=RetryDelays())
            runs.release(claim, delay_seconds=over.delay_seconds, charge=over.charge, reason=over.reason)
            raise SteppedAside(over.reason, delay_seconds=over.delay_seconds) from error


def _ready(session: RunSession, message: BatchMessage) -> tuple[RunContext, Sequence[FileItem]]:
    """The files to work on, with their rows. The failed ones get their API items here."""
    items = items_of(message)
    context = evolve(message.context, total_files=sum(item.uploads for item in items))
    loaded = _opened(session, context)
    if isinstance(loaded, Execution):
        channel = loaded.execution_log_id or context.pipeline_id
        context = evolve(context, log_channel=channel)
        found = verdicts(session, message, items, loaded)
    else:
        for item in items:
            session.journal_put(f"file:{item.number}", Verdict(reason=loaded).text())
        found = [Verdict(reason=loaded)] * len(items)
    for item, verdict in zip(items, found, strict=True):
        if verdict.reason:
            failed = ended(context, item, error=error_text(processing=verdict.reason))
            push_items(session.runtime, session.claim.run_id, context, failed)
    pairs = zip(items, found, strict=True)
    return context, [evolve(item, file_execution_id=verdict.row_id) for item, verdict in pairs if verdict.row_id]


def _opened(session: RunSession, context: RunContext) -> Execution | str:
    """The execution, or why none of the files can be worked on."""
    claim = session.claim
    if claim.attempts >= session.runtime.settings.ledger.orchestrate_attempts:
        return f"preparing the batch failed {claim.attempts} times, last: {claim.last_error or 'its worker died'}"
    try:
        return session.runtime.backend.executions.get(context.organization_id, context.execution_id)
    except Exception as error:
        if not is_permanent(error):
            raise
        return reason_of(error)


def _finish(runtime: Runtime, run_id: str, message: BatchMessage) -> None:
    runs = runtime.ledger.runs
    claim = runs.claim(run_id, runtime.token(), state=RunState.READY)
    if claim is None:
        return
    with runtime.keeper.run(claim):
        organization = message.context.organization_id
        result = batch_result(items_of(message), runs.outcomes(run_id), claim.journal, organization)
        final = FinalState(
            total_files=result.total_files,
            successful_files=result.successful_files,
            failed_files=result.failed_files,
            detail=result.as_message(),
        )
        runs.finish(
            claim,
            final,
            recheck_seconds=0,
            tombstone_seconds=runtime.settings.ledger.tombstone_seconds,
        )
