"""Deferred executors: send a file off once, give its batch back, and continue with the answer when it has come.

The batch is given back to the ledger while an answer is pending, so that waiting holds no slot. Any worker receives the
answer and rings for the batch again. `core.ledger.requests` keeps a file from being sent twice.
"""

from typing import Any

from unstract_worker_core import serialization
from unstract_worker_core.errors import BackendRefused, MessageError, SteppedAside, UnexpectedAnswer
from unstract_worker_core.failpoints import hit
from unstract_worker_core.identifiers import opaque_id, random_id
from unstract_worker_core.ledger import AnswerTicket, ExecutorAnswer, FileItem, Intent
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWERS_QUEUE
from unstract_worker_core.runs.outcomes import error_text
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.serialization import replace_halves
from unstract_worker_file_processing.executor import FileFailed, FileRequest, MaybeSent
from unstract_worker_file_processing.session import MAX_CHARGES, BatchSession, HandedBack
from unstract_worker_file_processing.status_writer import StatusWriter

__all__ = ["Parked", "await_answer", "obtain_answer", "receive_answer", "receive_failure"]

# How often a parked batch asks whether its execution was stopped, and how long it waits for an answer after a stop.
_STOP_CHECK_SECONDS = 60.0
_STOP_PATIENCE_SECONDS = 30.0
# Answers that came while no file worker ran are recorded within seconds of the first one's start.
_ANSWERS_PAUSE_SECONDS = 5.0
_SCHEMA = 1

log = get_logger(__name__)


class Parked(SteppedAside):
    """The batch was given back until the answer for one of its files comes; its lease is released."""


def await_answer(session: BatchSession, writer: StatusWriter, file: FileItem) -> str | None:
    """Wait for the answer to a file that was sent.

    Returns:
        None: the answer has come. Else the file's error: why the answer is not awaited any longer.

    Raises:
        Parked: the answer is pending.
    """
    request = session.claim.requests[file.number]
    if session.seconds_left() <= 0:
        return error_text(processing="the executor has not answered before the batch's deadline")
    delay = min(request.seconds_left, _STOP_CHECK_SECONDS)
    if session.stop_requested():
        delay = _STOP_PATIENCE_SECONDS - request.age_seconds
        if delay <= 0:
            return error_text(processing="the execution was stopped while the executor had the file")
    session.claim.answers[file.number] = _park(session, writer, file, delay)
    return None


def obtain_answer(session: BatchSession, writer: StatusWriter, request: FileRequest, budget: float) -> ExecutorAnswer:
    """The answer for a file. Sends the file if it was not sent.

    Args:
        session: the batch.
        writer: writes the row's EXECUTING before the file is sent.
        request: the file.
        budget: seconds for preparing the file.

    Raises:
        Parked: the answer is pending.
        HandedBack: nothing was sent.
    """
    answer = session.claim.answers.get(request.file.number)
    if answer is not None:
        return answer
    writer.begin(request.file)
    try:
        wait = _send(session, request, budget)
    except FileFailed as error:
        return ExecutorAnswer(error=error_text(workflow=error.workflow, destination=error.destination))
    except (BackendRefused, UnexpectedAnswer) as error:
        return ExecutorAnswer(error=error_text(workflow=error.message))
    return _park(session, writer, request.file, min(wait, _STOP_CHECK_SECONDS))


def _send(session: BatchSession, request: FileRequest, budget: float) -> float:
    """Prepare and send the file. Returns how many seconds the answer is awaited. Raises HandedBack."""
    executor, file, nonce = session.executor.deferred, request.file, random_id()
    claim, requests, settings = session.claim, session.runtime.ledger.requests, session.runtime.settings.executor
    if executor is None:
        raise TypeError("the executor answers at once")
    if file.number in claim.requests:
        _let_answers_in(session, file)
    with session.calling_executor(file):
        hit("executor.prepare.before")
        prepared = executor.prepare(request, timeout_seconds=budget)
        hit("executor.prepare.after")
    unsent = settings.unsent_timeout
    intent = session.persist(
        lambda: requests.intend(claim, file.number, nonce, wait_seconds=unsent, max_charges=MAX_CHARGES)
    )
    if intent is not Intent.SEND:
        raise HandedBack(f"file {file.number} is not sent: {intent}", delay_seconds=0)
    outcomes = session.runtime.metrics.executor_requests
    try:
        with session.calling_executor(file):
            hit("executor.send.before")
            executor.send(prepared, AnswerTicket(claim.run_id, claim.epoch, claim.batch, file.number))
            hit("executor.send.after")
    except (HandedBack, FileFailed):
        outcomes.labels("put_off").inc()
        requests.withdraw(claim, file.number, nonce)
        raise
    except MaybeSent as error:
        outcomes.labels("unknown").inc()
        log.warning("whether a request was sent is unknown", reason=str(error), seconds=unsent)
        return unsent
    outcomes.labels("sent").inc()
    requests.published(claim, file.number, nonce, wait_seconds=settings.result_timeout)
    return settings.result_timeout


def _let_answers_in(session: BatchSession, file: FileItem) -> None:
    """Before a file is sent again: its answer may have come while no file worker ran, and still wait in its queue.

    Raises:
        HandedBack: answers wait there, or the broker cannot be asked.
    """
    waiting = session.runtime.doorbells.answers_waiting()
    if waiting != 0:
        found = "cannot be looked at" if waiting is None else f"holds {waiting} answers"
        reason = f"file {file.number} is not sent again yet: {EXECUTOR_ANSWERS_QUEUE} {found}"
        raise HandedBack(reason, delay_seconds=_ANSWERS_PAUSE_SECONDS)


def _park(session: BatchSession, writer: StatusWriter, file: FileItem, delay: float) -> ExecutorAnswer:
    """Give the batch back until the answer comes. Returns the answer if it has come already, else raises Parked."""
    writer.flush()
    claim, requests = session.claim, session.runtime.ledger.requests
    answer = session.persist(lambda: requests.park(claim, file.number, delay_seconds=delay))
    if answer is None:
        raise Parked(f"file {file.number}: its answer is pending", delay_seconds=delay)
    return answer


def receive_answer(runtime: Runtime, delivery: Delivery) -> None:
    """Record an executor's answer. Arguments of the task: the answer, the ticket. Raises MessageError for others."""
    value, ticket = _arguments(delivery)
    _record(runtime, ticket, _answer(replace_halves(value), runtime.settings.ledger.max_file_result_bytes))


def _answer(value: Any, limit: int) -> ExecutorAnswer:
    """The answer as it can be stored. One that cannot is the file's error, which must not wait for another."""
    try:
        size = len(serialization.dumps(value).encode())
    except (ValueError, RecursionError):
        return ExecutorAnswer(error="the executor's answer is not JSON")
    if size > limit:
        text = f"the executor's answer has {size} bytes, the limit MAX_FILE_RESULT_BYTES is {limit}"
        return ExecutorAnswer(error=text)
    return ExecutorAnswer(value)


def receive_failure(runtime: Runtime, delivery: Delivery) -> None:
    """Record that the executor's task failed. Arguments of the task: that task's id, the ticket."""
    _, ticket = _arguments(delivery)
    _record(runtime, ticket, ExecutorAnswer(error="the executor's task failed; its own log says why"))


def _arguments(delivery: Delivery) -> tuple[Any, AnswerTicket]:
    if len(delivery.args) != 2 or not isinstance(delivery.args[1], dict):
        raise MessageError("not an answer and its ticket", field="args")
    ticket = serialization.structure(delivery.args[1], AnswerTicket)
    if ticket.schema > _SCHEMA:
        raise MessageError("a ticket of a newer form", field="AnswerTicket.schema")
    opaque_id(ticket.run_id, field="run_id")
    return delivery.args[0], ticket


def _record(runtime: Runtime, ticket: AnswerTicket, answer: ExecutorAnswer) -> None:
    recorded = retry_until_accepted(runtime, lambda: runtime.ledger.requests.record(ticket, answer))
    if recorded.late:
        runtime.metrics.executor_answers.labels("late").inc()
        log.warning("a late answer is dropped", run_id=ticket.run_id, file=ticket.number)
        return
    runtime.metrics.executor_answers.labels("failed" if answer.error else "recorded").inc()
    if recorded.ring is not None:
        runtime.doorbells.ring_batches(ticket.run_id, epoch=ticket.epoch, batches=[ticket.batch], kind=recorded.ring)
