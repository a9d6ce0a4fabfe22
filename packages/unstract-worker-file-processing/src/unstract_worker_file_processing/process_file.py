"""One file: refuse, or reuse an earlier result, or execute; measure; write the history; record one outcome.

A file gets exactly one outcome, and its failure never affects the other files. A lost lease, an unreachable ledger or
backend and a hand-back end the work on the whole batch instead; the next owner continues from the ledger.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from attrs import evolve

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
from unstract_worker_core.ledger import ExecutorAnswer, FileItem, FileOutcome
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.observability.tracing import step_span
from unstract_worker_core.runs.failure_policy import Place, is_permanent
from unstract_worker_core.runs.outcomes import NOT_STARTED, Executed, FileCost, error_text, to_outcome
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.deferred import await_answer, conclude, obtain_answer
from unstract_worker_file_processing.executor import FileExecutor, FileFailed, FileRequest
from unstract_worker_file_processing.history import executed_with, reuse, write_history
from unstract_worker_file_processing.session import BATCH_DEADLINE, MAX_CHARGES, BatchSession, HandedBack, pause_seconds
from unstract_worker_file_processing.status_writer import StatusWriter

_TIME_USED_UP = 0.95  # share of a call's time after which it counts as timed out
_log = get_logger(__name__)


def process_file(session: BatchSession, writer: StatusWriter, file: FileItem) -> None:
    """Process the file and give its outcome to the writer.

    Raises:
        LedgerError, SteppedAside: the work on the batch ends here.
        BackendError: the backend cannot be reached.
    """
    charged = 0 < session.claim.charges.get(file.number, 0) < MAX_CHARGES
    alone = charged and not _only_waits(session, file)
    with bind_task(file_execution_id=file.file_execution_id):
        gate = session.runtime.isolation.exclusive() if alone else session.runtime.isolation.shared()
        with step_span("file", file=file.number), gate:
            outcome = _outcome_or_error(session, writer, file)
        with charging_defects(session, file):
            writer.end(file, outcome)


def _only_waits(session: BatchSession, file: FileItem) -> bool:
    """Whether all that is left to do for the file is to wait for its executor's answer."""
    request = session.claim.requests.get(file.number)
    return request is not None and request.seconds_left > 0 and not _has_run(session, file)


def _has_run(session: BatchSession, file: FileItem) -> bool:
    """Whether the file's result is known, here or to an earlier owner of the batch: it is paid for."""
    return file.number in session.claim.executed or file.number in session.claim.answers


@contextmanager
def charging_defects(session: BatchSession, file: FileItem) -> Iterator[None]:
    """Charge the file for an outcome that cannot be stored: without a charge it would be tried again for ever."""
    try:
        yield
    except (LedgerError, BackendError, SteppedAside):
        raise
    except Exception as error:
        _log.exception("an outcome could not be stored", kind=type(error).__name__)
        reason = f"file {file.number}: {type(error).__name__}"
        raise HandedBack(reason, delay_seconds=pause_seconds(session.runtime), charge_file=file.number) from error


def _outcome_or_error(session: BatchSession, writer: StatusWriter, file: FileItem) -> FileOutcome:
    """The file's outcome; an error that concerns this file alone becomes its outcome ERROR."""
    try:
        return _outcome(session, writer, file)
    except (LedgerError, SteppedAside):
        raise
    except (BackendError, MessageError) as error:
        if not is_permanent(error, Place.FILE):
            raise
        _log.warning("a file failed", error=str(error))
        text = error_text(processing=str(error))
    except Exception as error:  # noqa: BLE001 - boundary of one file: its siblings have nothing to do with it
        _log.exception("a file failed unexpectedly", kind=type(error).__name__)
        text = error_text(processing=type(error).__name__)
    return to_outcome(session.context, file, Executed(error=text))


def _outcome(session: BatchSession, writer: StatusWriter, file: FileItem) -> FileOutcome:
    refusal = _refuse_or_start(session, writer, file)
    if refusal is not None:
        return to_outcome(session.context, file, Executed(error=refusal))
    note = session.claim.executed.get(file.number)  # of an earlier owner of the batch, if it ran the file
    if note is not None:
        executed = serialization.structure(note, Executed)
    else:
        executed = reuse(session, file) or _execute(session, writer, file)
    usage = _measure(session, file, executed)
    outcome = to_outcome(session.context, file, executed, usage)
    write_history(session, file, executed, outcome)
    return outcome


def _refuse_or_start(session: BatchSession, writer: StatusWriter, file: FileItem) -> str | None:
    """Why the file must not start; None: the ledger has it in flight from now on. Raises Parked while it waits."""
    sent = file.number in session.claim.requests
    refusal = _why_given_up(session, file)
    if sent and not _has_run(session, file):
        refusal = await_answer(session, writer, file, refusal)
    elif refusal is None and not _has_run(session, file):
        refusal = _refusal(session, file)
    if refusal is not None:
        return refusal
    stopped = session.persist(lambda: session.runtime.ledger.batches.start_file(session.claim, file.number))
    if not stopped or _has_run(session, file):
        return None
    session.stopped = True
    return await_answer(session, writer, file, None) if sent else NOT_STARTED


def _why_given_up(session: BatchSession, file: FileItem) -> str | None:
    charges = session.claim.charges.get(file.number, 0)
    if charges < MAX_CHARGES:
        return None
    text = f"given up after {charges} tries: each time its worker died or the outcome stayed unknown"
    return _with_last_reason(session, file, text)


def _with_last_reason(session: BatchSession, file: FileItem, text: str) -> str:
    last = session.claim.last_error
    return error_text(processing=f"{text}; last: {last}" if last.startswith(f"file {file.number}: ") else text)


def _refusal(session: BatchSession, file: FileItem) -> str | None:
    """Why a file that was not sent to the executor must not start. Raises HandedBack while the process drains."""
    if session.runtime.draining.is_set():
        raise HandedBack("the process drains", delay_seconds=0)
    if session.seconds_left() <= 0 and not session.stopped:
        return _with_last_reason(session, file, f"not started before {BATCH_DEADLINE}")
    if session.stop_requested():
        return NOT_STARTED
    if file.refused:
        return error_text(validation=file.refused)
    if file.unsupported:
        return error_text(validation=f"unsupported file type {file.mime_type or 'unknown'}")
    if file.file_execution_id is None:
        return error_text(processing="the backend refused a row for this file")
    return None


def _execute(session: BatchSession, writer: StatusWriter, file: FileItem) -> Executed:
    """Run the file and journal the result at once. The only step that may take an hour. Raises Parked."""
    sent = session.claim.requests.get(file.number)
    budget = max(1.0, min(session.runtime.settings.backend.file_execution_timeout, session.seconds_left()))
    request = FileRequest(session.context, file, session.key(file, "execute"), session.claim.run_id)
    if session.executor.deferred:
        answer = obtain_answer(session, writer, request, budget)
    else:
        answer = None
        writer.begin(file)
        session.held.check()
    started = time.monotonic()
    try:
        result = _result(session, request, answer, budget)
        limit = session.runtime.settings.ledger.max_file_result_bytes
        executed = executed_with(result, kind=session.context.kind, limit=limit)
    except OutcomeUnknown as error:
        timed_out = time.monotonic() - started >= _TIME_USED_UP * budget
        executed = _result_by_row(session, file, error, timed_out=timed_out)
    except FileFailed as error:
        executed = Executed(error=error_text(workflow=error.workflow, destination=error.destination))
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error, Place.FILE):
            raise
        executed = Executed(error=error_text(workflow=error.message))
    executed = evolve(executed, seconds=time.monotonic() - started + (sent.age_seconds if sent else 0.0))
    note = serialization.unstructure(executed)
    session.persist(lambda: session.runtime.ledger.batches.note_executed(session.claim, file.number, note))
    return executed


def _result(session: BatchSession, request: FileRequest, answer: ExecutorAnswer | None, budget: float) -> Any:
    """The executor's result. Raises HandedBack if the executor is away, and what executors raise."""
    if answer is not None:
        return conclude(session, request, answer, budget)
    if request.file.number in session.claim.answers:
        raise _executor_changed(session, request.file)
    with session.calling_executor(request.file):
        return cast("FileExecutor", session.executor.executor).execute(request, timeout_seconds=budget)


def _executor_changed(session: BatchSession, file: FileItem) -> HandedBack | FileFailed:
    """The end of an answered file where another executor was set meanwhile: executing it would pay for it twice."""
    text = "its answer is for the executor that sent it, and this worker has another: set WORKER_FILE_EXECUTOR back"
    if session.seconds_left() <= 0:
        return FileFailed(text)
    return HandedBack(f"file {file.number}: {text}", delay_seconds=pause_seconds(session.runtime))


def _result_by_row(session: BatchSession, file: FileItem, error: OutcomeUnknown, *, timed_out: bool) -> Executed:
    """The result of a call without an answer, by the file's row. A COMPLETED row is enough for ETL only.

    Raises:
        HandedBack: the row does not show whether the file ran; the file is charged.
    """
    context, row_id = session.context, file.file_execution_id or ""
    files = session.runtime.backend.files
    row = session.try_call("file-execution.get", lambda: files.get(context.organization_id, row_id), wait=False)
    if row is not None and row.status is ExecutionStatus.ERROR:
        return Executed(error=error_text(workflow=row.execution_error or error.message))
    if row is not None and row.status is ExecutionStatus.COMPLETED and context.kind is not RunKind.API:
        return Executed()
    if timed_out:
        return Executed(error=error_text(workflow="the file did not finish in its time (FILE_EXECUTION_TIMEOUT)"))
    raise HandedBack(
        f"file {file.number}: whether it ran is unknown ({error})",
        delay_seconds=pause_seconds(session.runtime),
        charge_file=file.number,
    )


def _measure(session: BatchSession, file: FileItem, executed: Executed) -> FileCost:
    """What the run of the file cost. Only API callers get this."""
    if session.context.kind is not RunKind.API or executed.reused:
        return FileCost()
    usage, organization = session.runtime.backend.usage, session.context.organization_id
    row_id = file.file_execution_id or ""
    return FileCost(
        tokens=session.try_call("usage.tokens", lambda: usage.tokens(organization, row_id), wait=False),
        pages=session.try_call("usage.pages", lambda: usage.pages(organization, row_id), wait=False),
    )
