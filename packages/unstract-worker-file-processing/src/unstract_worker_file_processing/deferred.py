"""Deferred executors: send a file off once, give its batch back, and continue with the answer when it has come.

The batch is given back to the ledger while an answer is pending, so that waiting holds no slot. Any worker receives the
answer and rings for the batch again. `core.ledger.requests` keeps a file from being sent twice.
"""

import datetime as dt
import json
import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from unstract_worker_core import serialization
from unstract_worker_core.errors import BackendError, BackendRefused, MessageError, SteppedAside, UnexpectedAnswer
from unstract_worker_core.failpoints import hit
from unstract_worker_core.identifiers import opaque_id
from unstract_worker_core.ledger import AnswerTicket, BatchClaim, ExecutorAnswer, FileItem, Intent
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWERS_QUEUE
from unstract_worker_core.runs.failure_policy import Place, is_permanent
from unstract_worker_core.runs.outcomes import error_text
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_file_processing.executor import FileFailed, FileRequest, MaybeSent, NotNow
from unstract_worker_file_processing.session import BATCH_DEADLINE, MAX_CHARGES, BatchSession, HandedBack
from unstract_worker_file_processing.status_writer import StatusWriter

# How often a parked batch asks whether its execution was stopped, and how long it waits for an answer after a stop.
_STOP_CHECK_SECONDS = 60.0
_STOP_PATIENCE_SECONDS = 30.0
# Answers that came while no file worker ran are recorded within seconds of the first one's start. A file whose batch
# is past its deadline does not wait for them longer than a minute.
_ANSWERS_PAUSE_SECONDS = 5.0
_ANSWERS_PATIENCE_SECONDS = 60.0
# A result that its destination does not accept is offered for so long after the batch's deadline.
_DELIVERY_PATIENCE_SECONDS = 600.0
_SCHEMA = 1

log = get_logger(__name__)


class Parked(SteppedAside):
    """The batch was given back until the answer for one of its files comes; its lease is released."""


def await_answer(session: BatchSession, writer: StatusWriter, file: FileItem, given_up: str | None) -> str | None:
    """Wait for the answer to a file that was sent, for as long as one is awaited.

    Args:
        session: the batch.
        writer: writes what has ended before the batch is given back.
        file: the file.
        given_up: why the file must not be sent again, if so.

    Returns:
        The file's error: why its answer is not awaited any longer. None: the answer is in `session.claim.answers`, or
        the file is to be sent again.

    Raises:
        Parked: the answer is pending.
        HandedBack: answers wait to be recorded, or the process drains.
    """
    request = session.claim.requests[file.number]
    delay, error = min(request.seconds_left, _STOP_CHECK_SECONDS), given_up
    if session.seconds_left() <= 0:
        delay, error = 0.0, error_text(processing=f"the executor has not answered before {BATCH_DEADLINE}")
    elif _stop_requested(session, paid=request.seconds_left > 0):
        delay = min(delay, _STOP_PATIENCE_SECONDS - request.age_seconds)
        error = error_text(processing="the execution was stopped while the executor had the file")
    if delay > 0:
        session.claim.answers[file.number] = _park(session, writer, file, delay)
        return None
    if session.runtime.draining.is_set():
        raise HandedBack("the process drains", delay_seconds=0)
    return None if error is None or _answered_meanwhile(session, file) else error


def _stop_requested(session: BatchSession, *, paid: bool) -> bool:
    """Whether the execution was stopped. A backend that refuses to say does not end a file that is paid for."""
    try:
        return session.stop_requested()
    except BackendError as error:
        if not paid:
            raise
        log.warning("whether the execution was stopped is unknown; the file goes on", error=str(error))
        return False


def _answered_meanwhile(session: BatchSession, file: FileItem) -> bool:
    """Whether an answer was recorded after the batch was claimed; asked before a file ends. Raises HandedBack."""
    if not session.stopped:
        _wait_for_queued_answers(session, file)
    claim = session.claim
    place = (claim.run_id, claim.epoch, claim.batch, claim.token)
    now = session.persist(lambda: session.runtime.ledger.batches.claim(*place))  # the same lease, as it is now
    if isinstance(now, BatchClaim):
        claim.answers.update(now.answers)
    return file.number in claim.answers


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
    number = request.file.number
    answer = session.claim.answers.get(number)
    if answer is not None:
        return answer
    writer.begin(request.file)
    try:
        wait = _send(session, request, budget)
    except FileFailed as error:
        failed = ExecutorAnswer(error=error_text(workflow=error.workflow, destination=error.destination))
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error, Place.FILE):
            raise
        failed = ExecutorAnswer(error=error_text(workflow=error.message))
    else:
        return _park(session, writer, request.file, min(wait, _STOP_CHECK_SECONDS))
    if number in session.claim.requests and _answered_meanwhile(session, request.file):
        return session.claim.answers[number]
    return failed


def _send(session: BatchSession, request: FileRequest, budget: float) -> float:
    """Prepare and send the file. Returns how many seconds the answer is awaited. Raises HandedBack."""
    executor, file, nonce = session.executor.deferred, request.file, str(uuid4())
    claim, requests, settings = session.claim, session.runtime.ledger.requests, session.runtime.settings.executor
    if executor is None:
        raise TypeError("the executor answers at once")
    if file.number in claim.requests:
        _wait_for_queued_answers(session, file)
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
    place = (claim.run_id, claim.epoch, claim.batch, file.number)
    session.held.check()  # after a pause another worker may wait for the answer, or have sent it
    try:
        with session.calling_executor(file):
            hit("executor.send.before")
            executor.send(prepared, AnswerTicket(*place, file_execution_id=file.file_execution_id))
            hit("executor.send.after")
    except (HandedBack, FileFailed):
        outcomes.labels("put_off").inc()
        session.persist(lambda: requests.withdraw(claim, file.number, nonce), leased=False)
        raise
    except MaybeSent as error:
        outcomes.labels("unknown").inc()
        log.warning("whether a request was sent is unknown", reason=str(error), seconds=unsent)
        return unsent
    outcomes.labels("sent").inc()
    wait = settings.result_timeout
    session.persist(lambda: requests.published(claim, file.number, nonce, wait_seconds=wait), leased=False)
    return wait


def _wait_for_queued_answers(session: BatchSession, file: FileItem) -> None:
    """Before a file is sent again or ends: its answer may have come while no file worker ran, and still be queued.

    Raises:
        HandedBack: answers wait there, or the broker cannot be asked.
    """
    if _overdue_seconds(session) > _ANSWERS_PATIENCE_SECONDS:
        return
    waiting = session.runtime.doorbells.answers_waiting()
    if waiting != 0:
        found = "cannot be looked at" if waiting is None else f"holds {waiting} answers"
        reason = f"file {file.number} is not sent again and does not end yet: {EXECUTOR_ANSWERS_QUEUE} {found}"
        raise HandedBack(reason, delay_seconds=_ANSWERS_PAUSE_SECONDS)


def _overdue_seconds(session: BatchSession) -> float:
    """For how long the batch has been past its deadline while this process could work on it."""
    return min(-session.seconds_left(), time.monotonic() - session.executor.since)


def conclude(session: BatchSession, request: FileRequest, answer: ExecutorAnswer, budget: float) -> Any:
    """The file's result, made of its answer.

    Raises:
        FileFailed: also where what it needs was away until past the batch's deadline, or the execution was stopped.
        HandedBack: it is away; the answer is kept.
    """
    executor = session.executor.deferred
    if executor is None or answer.error is not None:
        raise FileFailed(answer.error or "the executor answers at once")
    away: NotNow | None = None
    try:
        with session.calling_executor(request.file):
            hit("executor.conclude.before")
            try:
                result = executor.conclude(request, answer.value, timeout_seconds=budget)
            except NotNow as error:
                away = error
                raise
            hit("executor.conclude.after")
            return result
    except HandedBack:
        overdue = _overdue_seconds(session) > _DELIVERY_PATIENCE_SECONDS
        if away is None or not (overdue or _stop_requested(session, paid=True)):
            raise
    when = "when the execution was stopped" if session.stopped else f"before {BATCH_DEADLINE}"
    raise FileFailed(f"the file is executed, and its result could not be delivered {when}: {away}")


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
    _record(runtime, ticket, _answer(value, runtime.settings.ledger.max_file_result_bytes))


def _answer(value: Any, limit: int) -> ExecutorAnswer:
    """The answer as it can be stored. One that cannot is the file's error, which must not wait for another."""
    try:
        plain = serialization.loads(json.dumps(value, default=_as_text))
        size = len(serialization.dumps(plain).encode())
    except (MessageError, TypeError, ValueError, RecursionError):
        return ExecutorAnswer(error="the executor's answer is not JSON")
    if size > limit:
        text = f"the executor's answer has {size} bytes, the limit MAX_FILE_RESULT_BYTES is {limit}"
        return ExecutorAnswer(error=text)
    return ExecutorAnswer(plain)


def _as_text(value: object) -> str:
    """What Celery's JSON has beyond JSON's own types. Raises TypeError for others."""
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise TypeError(type(value).__name__)


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
