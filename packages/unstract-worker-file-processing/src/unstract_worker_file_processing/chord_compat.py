"""Chord mode: `process_file_batch` messages of today's orchestrators, whose results a chord waits for.

Each message has its own run in the ledger, with one batch, so that a redelivery repeats nothing: it waits while the
lease is held, and returns the recorded result after the end. API items are pushed as each file ends. The decision about
each file is journalled before the file is worked on, as `file:{number}`: "row <id>", "skip" or "fail <reason>".
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from unstract_worker_core.backend.executions import Execution
from unstract_worker_core.backend.files import FileExecution, FileStatusUpdate
from unstract_worker_core.errors import BackendRefused, OutcomeUnknown, SteppedAside, UnexpectedAnswer
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
from unstract_worker_core.messages.batch import BatchMessage, BatchResult
from unstract_worker_core.observability.logs import bind_task
from unstract_worker_core.runs.failure_policy import Place, Reaction, RetryDelays, is_permanent, reaction_to, reason_of
from unstract_worker_core.runs.files_in_use import ActiveFiles, active_file, files_in_use, mark_key
from unstract_worker_core.runs.outcomes import Executed, error_text, to_outcome
from unstract_worker_core.runs.rows import match_rows, row_request
from unstract_worker_core.runs.run_handler import release_run, retry_until_accepted
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.runs.start import deduplicate
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.batch import process_batch
from unstract_worker_file_processing.deferred import Parked
from unstract_worker_file_processing.executor import GuardedExecutor
from unstract_worker_file_processing.status_writer import push_api_items

_EPOCH = 1  # such a run is armed once
_BATCH = 0
_ANSWER_CHECK_SECONDS = 5.0
IN_USE = "the file is being processed by another execution"


@frozen
class FileDecision:
    """The decision about one file: work on it with this row, skip it, or fail it with this reason."""

    row_id: str = ""
    reason: str = ""

    def as_text(self) -> str:
        """The journal's form."""
        return f"row {self.row_id}" if self.row_id else f"fail {self.reason}" if self.reason else "skip"

    @staticmethod
    def read(text: str) -> "FileDecision":
        """Read the journal's form."""
        word, _, rest = text.partition(" ")
        return FileDecision(row_id=rest if word == "row" else "", reason=rest if word == "fail" else "")


def process_chord_batch(
    runtime: Runtime, executor: GuardedExecutor, message: BatchMessage, task_id: str
) -> dict[str, Any]:
    """The message's result for its chord. Raises SteppedAside or LedgerError if the message must be sent again."""
    context, runs = message.context, runtime.ledger.runs
    run_id = f"{context.execution_id}.{opaque_id(task_id, field='task_id')}"
    with bind_task(execution_id=context.execution_id, organization_id=context.organization_id):
        retry_until_accepted(
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
                try:
                    process_batch(runtime, executor, claim)
                except Parked as parked:  # only this message, sent again, can give the chord its result
                    delay = min(parked.delay_seconds, _ANSWER_CHECK_SECONDS)
                    raise SteppedAside(parked.reason, delay_seconds=delay) from None
        if runs.state(run_id) is RunState.READY:
            _finish(runtime, run_id, message)
        final = runs.final(run_id)
    if final is None:
        lease = runtime.settings.ledger.lease_seconds
        raise SteppedAside("another delivery of this batch is being processed", delay_seconds=lease)
    return final.detail


def batch_result(
    items: Iterable[FileItem], outcomes: Iterable[FileOutcome], journal: Mapping[str, str], organization_id: str
) -> BatchResult:
    """Count every upload once (contract: tasks 4.3); one that neither ran nor failed counts as completed before."""
    uploads = {item.number: item.uploads for item in items}
    done, failed, seconds = 0, 0, 0.0
    for outcome in outcomes:
        done += outcome.uploads * (outcome.kind is OutcomeKind.COMPLETED)
        failed += outcome.uploads * (outcome.kind is OutcomeKind.ERROR)
        seconds += outcome.seconds
    reasons = {number: FileDecision.read(journal.get(f"file:{number}", "")).reason for number in uploads}
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
    """Create the files' rows and arm the run. Raises SteppedAside after giving the run back."""
    runs = runtime.ledger.runs
    claim = runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    if claim is None:
        return
    with runtime.keeper.run(claim) as held:
        session = RunSession(runtime, claim, held)
        try:
            context, ready = _files_with_rows(session, message)
            runs.arm(claim, [ready] if ready else [], context)
        except Exception as error:  # boundary of one attempt: the run must be given back after any error
            if reaction_to(error, Place.START) is Reaction.LEAVE:
                raise
            released = release_run(session, error, Place.START, RetryDelays())
            raise SteppedAside(released.reason, delay_seconds=released.delay_seconds) from error


def _files_with_rows(session: RunSession, message: BatchMessage) -> tuple[RunContext, Sequence[FileItem]]:
    """The files to work on, with their rows. API items of failed files are pushed here."""
    items = _items(message)
    context = evolve(message.context, total_files=sum(item.uploads for item in items))
    loaded = _load(session, context)
    if isinstance(loaded, Execution):
        channel = loaded.execution_log_id or context.pipeline_id
        context = evolve(context, log_channel=channel)
        found = _decisions(session, message, items, loaded)
    else:
        for item in items:
            session.journal_put(f"file:{item.number}", FileDecision(reason=loaded).as_text())
        found = [FileDecision(reason=loaded)] * len(items)
    for item, decision in zip(items, found, strict=True):
        if decision.reason:
            failed = to_outcome(context, item, Executed(error=error_text(processing=decision.reason)))
            push_api_items(session.runtime, session.claim.run_id, context, failed)
    pairs = zip(items, found, strict=True)
    return context, [evolve(item, file_execution_id=decision.row_id) for item, decision in pairs if decision.row_id]


def _load(session: RunSession, context: RunContext) -> Execution | str:
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
        result = batch_result(_items(message), runs.outcomes(run_id), claim.journal, organization)
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


def _items(message: BatchMessage) -> tuple[FileItem, ...]:
    """The batch's files. API uploads of equal content are one item: the backend has one row for them."""
    return deduplicate(message.files) if message.context.kind is RunKind.API else message.files


def _decisions(
    session: RunSession, message: BatchMessage, items: Sequence[FileItem], execution: Execution
) -> list[FileDecision]:
    """A decision for each item, in order. Journalled decisions are kept."""
    noted = [session.journal_get(f"file:{item.number}") for item in items]
    fresh = [item for item, text in zip(items, noted, strict=True) if text is None]
    ended = execution.status.terminal
    # Another execution works on these. API uploads have no identity to compare.
    known = {} if ended else {file: item for item in fresh if (file := active_file(item)) is not None}
    in_use = {known[file].number for file in files_in_use(session, _marks(session, message), known)}
    found = []
    for item, journalled in zip(items, noted, strict=True):
        session.check()
        text = journalled
        if text is None:
            decision = FileDecision() if ended else _decide(session, message, item, in_use=item.number in in_use)
            text = session.journal_put(f"file:{item.number}", decision.as_text())
        found.append(FileDecision.read(text))
    return found


def _decide(session: RunSession, message: BatchMessage, item: FileItem, *, in_use: bool) -> FileDecision:
    try:
        row = _row(session, message, item)
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        return FileDecision(reason=reason_of(error))
    # Another batch may have completed an upload of equal content, with the same row: this one still needs its item.
    owed = message.context.kind is RunKind.API and row.file_name != item.name
    if row.status is not None and row.status.terminal and not owed:
        return FileDecision()
    reason = item.refused or (IN_USE if in_use else "")
    status = ExecutionStatus.ERROR if reason else ExecutionStatus.PENDING
    if reason or row.status is None:
        update = FileStatusUpdate(status=status, error_message=reason or None)
        session.runtime.backend.files.update_status(
            session.organization_id, row.id, update, key=session.key(f"status-{status}", str(item.number))
        )
    file = active_file(item)
    if file is not None:
        _marks(session, message).release([mark_key(message.context.workflow_id, file)])
    return FileDecision(reason=reason) if reason else FileDecision(row_id=row.id)


def _row(session: RunSession, message: BatchMessage, item: FileItem) -> FileExecution:
    """The file's row, created if there is none. Parallel batches may have created two: then either of them."""
    context, files = message.context, session.runtime.backend.files
    request, key = row_request(item, context.kind), session.key("row", str(item.number))
    try:
        return files.create(session.organization_id, context.execution_id, context.workflow_id, request, key=key)
    except (BackendRefused, UnexpectedAnswer, OutcomeUnknown):
        rows = {row.id: row for row in files.list(session.organization_id, context.execution_id)}
        found = match_rows([item], rows.values(), context.kind).get(item.number)
        if found is None:
            raise
        return rows[found]


def _marks(session: RunSession, message: BatchMessage) -> ActiveFiles:
    context, ttl = message.context, session.runtime.settings.files.active_file_ttl_seconds
    return ActiveFiles(session.runtime.cache_redis, context.workflow_id, context.execution_id, ttl)
