"""One file, from its turn in the batch to its recorded outcome.

Whatever happens to a file, it gets exactly one outcome and never keeps its siblings from theirs. Only a lost lease,
an unreachable ledger or backend and a hand-back end the batch's step instead; the next owner goes on from the ledger.
"""

import time

from unstract_worker_core import serialization
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    LedgerError,
    MessageError,
    OutcomeUnknown,
    SteppedAside,
    UnexpectedAnswer,
)
from unstract_worker_core.ledger import FileItem, FileOutcome
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.executor import FileFailed, FileRequest
from unstract_worker_file_processing.history import reused, write_history
from unstract_worker_file_processing.outcomes import (
    NOT_STARTED,
    Executed,
    ended,
    error_text,
    executed_with,
    file_metadata,
    told_before,
)
from unstract_worker_file_processing.row_statuses import RowStatuses
from unstract_worker_file_processing.work import BatchWork, HandedBack, out_of_reach, pause_seconds

__all__ = ["MOST_CHARGES", "outcome_of"]

MOST_CHARGES = 3
_USED_UP = 0.95
_log = get_logger(__name__)


def outcome_of(work: BatchWork, statuses: RowStatuses, file: FileItem) -> FileOutcome:
    """How the file ends. A defect that it lays bare is its own ERROR.

    Raises LedgerError, SteppedAside, and BackendError when the backend is out of reach.
    """
    try:
        return _refused(work, file) or _run(work, statuses, file)
    except (LedgerError, SteppedAside):
        raise
    except (BackendError, MessageError) as error:
        if isinstance(error, BackendError) and out_of_reach(error):
            raise
        _log.warning("a file failed", error=str(error))
        return ended(work.context, file, error=error_text(processing=str(error)))
    except Exception as error:  # noqa: BLE001 - boundary of one file: its siblings have nothing to do with it
        _log.exception("a file failed unexpectedly", kind=type(error).__name__)
        return ended(work.context, file, error=error_text(processing=type(error).__name__))


def _refused(work: BatchWork, file: FileItem) -> FileOutcome | None:
    """The outcome of a file that is not to be started; None: it is. A file that ran already only needs finishing."""
    context, charges = work.context, work.claim.charges.get(file.number, 0)
    if charges >= MOST_CHARGES:
        reason = f"given up after {charges} tries: each time its worker died or the outcome stayed unknown"
        return ended(context, file, error=error_text(processing=reason))
    if file.number in work.claim.executed:
        return None
    if work.runtime.draining.is_set():
        raise HandedBack("the process drains", delay_seconds=0)
    error = None
    if work.seconds_left() <= 0 and not work.stopped:
        error = error_text(processing="not started before the batch's deadline")
    elif work.stop_seen():
        return ended(context, file, skipped=True, error=NOT_STARTED)
    elif file.unsupported:
        error = error_text(validation=f"unsupported file type {file.mime_type or 'unknown'}")
    elif file.file_execution_id is None:
        error = error_text(processing="the backend refused a row for this file")
    return None if error is None else ended(context, file, error=error)


def _run(work: BatchWork, statuses: RowStatuses, file: FileItem) -> FileOutcome:
    started, said = time.monotonic(), work.claim.executed.get(file.number)
    stopped = work.begin(file)
    if said is not None:
        executed = serialization.structure(said, Executed)
        started -= executed.seconds
    elif stopped:
        work.stopped = True
        return ended(work.context, file, skipped=True, error=NOT_STARTED)
    else:
        executed = reused(work, file) or _execute(work, statuses, file)
    outcome = _concluded(work, file, executed, time.monotonic() - started)
    if not executed.reused:
        write_history(work, file, executed, outcome)
    return outcome


def _execute(work: BatchWork, statuses: RowStatuses, file: FileItem) -> Executed:
    """Run the file and journal at once what came of it. The only step that may take an hour."""
    settings, started = work.runtime.settings, time.monotonic()
    statuses.begins(file)
    budget = max(1.0, min(settings.backend.file_execution_timeout, work.seconds_left()))
    work.held.check()
    asked = time.monotonic()
    try:
        result = work.executor.execute(
            FileRequest(work.context, file, work.key(file, "execute")), timeout_seconds=budget
        )
        limit = settings.ledger.max_file_result_bytes
        executed = executed_with(result, kind=work.context.kind, limit=limit)
    except OutcomeUnknown as error:
        took = time.monotonic() - asked
        executed = _after_unknown(work, file, error, timed_out=took >= _USED_UP * budget)
    except FileFailed as error:
        text = error_text(workflow=error.workflow, destination=error.destination)
        executed = Executed(error=text)
    except (BackendRefused, UnexpectedAnswer) as error:
        executed = Executed(error=error_text(workflow=error.message))
    note = {**serialization.unstructure(executed), "seconds": time.monotonic() - started}
    work.note_executed(file, note)
    return executed


def _after_unknown(work: BatchWork, file: FileItem, error: OutcomeUnknown, *, timed_out: bool) -> Executed:
    """What the file's row says of a run without an answer. Raises HandedBack, at the file's charge, if nothing.

    A COMPLETED row is enough for ETL, where the effect is the destination; an API caller needs the result.
    """
    context, row_id = work.context, file.file_execution_id or ""
    row = work.tried(
        "file-execution.get",
        lambda: work.runtime.backend.files.get(context.organization_id, row_id),
        wait=False,
    )
    if row is not None and row.status is ExecutionStatus.ERROR:
        return Executed(error=error_text(workflow=row.execution_error or error.message))
    if row is not None and row.status is ExecutionStatus.COMPLETED and context.kind is not RunKind.API:
        return Executed()
    if timed_out:
        return Executed(error=error_text(workflow="the file did not finish in its time (FILE_EXECUTION_TIMEOUT)"))
    raise HandedBack(
        f"file {file.number}: whether it ran is unknown ({error.message})",
        delay_seconds=pause_seconds(work.runtime),
        charge_file=file.number,
    )


def _concluded(work: BatchWork, file: FileItem, executed: Executed, seconds: float) -> FileOutcome:
    context, row_id = work.context, file.file_execution_id or ""
    if context.kind is not RunKind.API:
        metadata = None
    elif executed.reused:
        metadata = told_before(executed.metadata, context, file, seconds)
    else:
        usage, organization = work.runtime.backend.usage, context.organization_id
        metadata = file_metadata(
            context,
            file,
            seconds=seconds,
            result=executed.result,
            usage=work.tried("usage.tokens", lambda: usage.tokens(organization, row_id), wait=False),
            pages=work.tried("usage.pages", lambda: usage.pages(organization, row_id), wait=False),
        )
    return ended(context, file, error=executed.error, result=executed.result, metadata=metadata, seconds=seconds)
