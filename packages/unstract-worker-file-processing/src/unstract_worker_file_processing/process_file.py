"""One file, from its turn in the batch to its written outcome: refuse, or reuse, or execute; measure; write.

Whatever happens to a file, it gets exactly one outcome and never keeps its siblings from theirs. Only a lost lease,
an unreachable ledger or backend and a hand-back end the batch's step instead; the next owner continues from the ledger.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.deferred import await_answer, obtain_answer
from unstract_worker_file_processing.executor import DeferredExecutor, FileFailed, FileRequest
from unstract_worker_file_processing.history import reuse, write_history
from unstract_worker_file_processing.results import NOT_STARTED, Executed, Usage, error_text, executed_with, to_outcome
from unstract_worker_file_processing.session import MAX_CHARGES, BatchSession, HandedBack, pause_seconds
from unstract_worker_file_processing.status_writer import StatusWriter

__all__ = ["charging_defects", "process_file"]

_TIME_USED_UP = 0.95
_log = get_logger(__name__)


def process_file(session: BatchSession, writer: StatusWriter, file: FileItem) -> None:
    """Bring the file to an outcome and hand that to the writer.

    Raises:
        LedgerError, SteppedAside: the batch's step ends here.
        BackendError: the backend cannot be reached.
    """
    charged = 0 < session.claim.charges.get(file.number, 0) < MAX_CHARGES
    with bind_task(file_execution_id=file.file_execution_id):
        gate = session.runtime.solo.alone() if charged else session.runtime.solo.shared()
        with step_span("file", file=file.number), gate:
            outcome = _outcome(session, writer, file)
        with charging_defects(session, file):
            writer.end(file, outcome)


@contextmanager
def charging_defects(session: BatchSession, file: FileItem) -> Iterator[None]:
    """Around storing an outcome: one that cannot be stored would come back for ever, so the file is charged."""
    try:
        yield
    except (LedgerError, BackendError, SteppedAside):
        raise
    except Exception as error:
        _log.exception("an outcome could not be stored", kind=type(error).__name__)
        reason = f"file {file.number}: {type(error).__name__}"
        raise HandedBack(reason, delay_seconds=pause_seconds(session.runtime), charge_file=file.number) from error


def _outcome(session: BatchSession, writer: StatusWriter, file: FileItem) -> FileOutcome:
    """How the file ends. Its own defects are its own ERROR."""
    try:
        return _steps(session, writer, file)
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


def _steps(session: BatchSession, writer: StatusWriter, file: FileItem) -> FileOutcome:
    refused = _refuse_or_start(session, writer, file)
    if refused is not None:
        return refused
    executed = _journalled(session, file) or reuse(session, file) or _execute(session, writer, file)
    usage = _measure(session, file, executed)
    outcome = to_outcome(session.context, file, executed, usage)
    write_history(session, file, executed, outcome)
    return outcome


def _refuse_or_start(session: BatchSession, writer: StatusWriter, file: FileItem) -> FileOutcome | None:
    """The outcome of a file that must not start; None: it is in flight from now on. Raises Parked if it waits."""
    claim, number = session.claim, file.number
    ran = number in claim.executed or number in claim.answers
    error = _given_up(session, file)
    if error is None and not ran:
        waits = number in claim.requests and claim.requests[number].seconds_left > 0
        error = await_answer(session, writer, file) if waits else _refusal(session, file)
        ran = waits
    if error is None:
        stopped = session.persist(lambda: session.runtime.ledger.batches.start_file(claim, number))
        if ran or not stopped:
            return None
        session.stopped, error = True, NOT_STARTED
    return to_outcome(session.context, file, Executed(error=error), skipped=error == NOT_STARTED)


def _given_up(session: BatchSession, file: FileItem) -> str | None:
    charges = session.claim.charges.get(file.number, 0)
    if charges < MAX_CHARGES:
        return None
    return error_text(
        processing=f"given up after {charges} tries: each time its worker died or the outcome stayed unknown"
    )


def _refusal(session: BatchSession, file: FileItem) -> str | None:
    """Why a file that has not run must not start. Raises HandedBack while the process drains."""
    if session.runtime.draining.is_set():
        raise HandedBack("the process drains", delay_seconds=0)
    if session.seconds_left() <= 0 and not session.stopped:
        return error_text(processing="not started before the batch's deadline")
    if session.stop_requested():
        return NOT_STARTED
    if file.refused:
        return error_text(validation=file.refused)
    if file.unsupported:
        return error_text(validation=f"unsupported file type {file.mime_type or 'unknown'}")
    if file.file_execution_id is None:
        return error_text(processing="the backend refused a row for this file")
    return None


def _journalled(session: BatchSession, file: FileItem) -> Executed | None:
    """What an owner before this one wrote down of the file, if it ran."""
    note = session.claim.executed.get(file.number)
    return None if note is None else serialization.structure(note, Executed)


def _execute(session: BatchSession, writer: StatusWriter, file: FileItem) -> Executed:
    """Run the file and journal at once what came of it. The only step that may take an hour. Raises Parked."""
    sent = session.claim.requests.get(file.number)
    budget = max(1.0, min(session.runtime.settings.backend.file_execution_timeout, session.seconds_left()))
    request = FileRequest(session.context, file, session.key(file, "execute"))
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
        executed = _after_unknown(session, file, error, timed_out=timed_out)
    except FileFailed as error:
        executed = Executed(error=error_text(workflow=error.workflow, destination=error.destination))
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error, Place.FILE):
            raise
        executed = Executed(error=error_text(workflow=error.message))
    executed = executed.after(time.monotonic() - started + (sent.age_seconds if sent else 0.0))
    note = serialization.unstructure(executed)
    session.persist(lambda: session.runtime.ledger.batches.note_executed(session.claim, file.number, note))
    return executed


def _result(session: BatchSession, request: FileRequest, answer: ExecutorAnswer | None, budget: float) -> Any:
    """The executor's result. Raises HandedBack if the executor is away, and what executors raise."""
    executor = session.executor.executor
    with session.calling_executor(request.file):
        if not isinstance(executor, DeferredExecutor):
            return executor.execute(request, timeout_seconds=budget)
        if answer is None or answer.error is not None:
            raise FileFailed(answer.error or "" if answer else "")
        return executor.conclude(request, answer.value, timeout_seconds=budget)


def _after_unknown(session: BatchSession, file: FileItem, error: OutcomeUnknown, *, timed_out: bool) -> Executed:
    """What the file's row says of a run without an answer. Raises HandedBack, at the file's charge, if it says nothing.

    A COMPLETED row is enough for ETL, where the effect is the destination; an API caller needs the result.
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


def _measure(session: BatchSession, file: FileItem, executed: Executed) -> Usage:
    """What the run of the file cost; only API callers are told."""
    if session.context.kind is not RunKind.API or executed.reused:
        return Usage()
    usage, organization = session.runtime.backend.usage, session.context.organization_id
    row_id = file.file_execution_id or ""
    return Usage(
        tokens=session.try_call("usage.tokens", lambda: usage.tokens(organization, row_id), wait=False),
        pages=session.try_call("usage.pages", lambda: usage.pages(organization, row_id), wait=False),
    )
