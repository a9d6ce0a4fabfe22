"""Sends a request to the platform's executor, and knows whether it was sent.

On RabbitMQ the broker confirms each request and returns one whose queue is not there. On Redis the answer to the push
is the confirm, and a queue without a consumer looks like an empty one.
"""

import json
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from amqp.exceptions import MessageNacked
from attrs import define, field
from kombu.connection import Connection
from kombu.exceptions import ChannelError, KombuError
from kombu.messaging import Producer
from redis.exceptions import ResponseError

from unstract_worker_core import serialization
from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.ledger import AnswerTicket
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import EXECUTOR_ANSWER_TASK, EXECUTOR_ANSWERS_QUEUE, EXECUTOR_FAILURE_TASK
from unstract_worker_core.worker.broker import publishing_connection
from unstract_worker_core.worker.doorbell_publisher import message_headers
from unstract_worker_file_processing.executor import MaybeSent, NotNow

__all__ = ["EXECUTOR_QUEUE", "EXECUTOR_TASK", "RequestPublisher"]

EXECUTOR_QUEUE = "celery_executor_legacy"
EXECUTOR_TASK = "execute_extraction"
_IDLE_LINES = 8
_FULL_SECONDS = 15.0

log = get_logger(__name__)


@define(eq=False)
class _Line:
    """A connection with its producer, used by one thread at a time. `returned`: RabbitMQ sent the last message back."""

    connection: Connection
    producer: Producer
    returned: bool = False


@define(eq=False)
class RequestPublisher:
    """Publishes requests, each confirmed. Safe for threads.

    Attributes:
        queue_limit: requests that may wait in the executor's queue before further ones are put off.
        expires_seconds: after that time the executor drops a request that it has not begun.
    """

    broker: BrokerSettings
    queue_limit: int
    expires_seconds: float
    _idle: "queue.LifoQueue[_Line]" = field(factory=lambda: queue.LifoQueue(_IDLE_LINES), init=False)

    def publish(self, request: dict[str, Any], ticket: AnswerTicket) -> None:
        """Send a request; its answer comes with the ticket.

        Raises:
            NotNow: it was not sent: the broker is away, it has no such queue, or the queue is full.
            MaybeSent: the broker did not confirm it.
        """
        body, headers = json.dumps([[request], {}, _embedded(ticket)]), self._headers()
        with self._line() as (line, depth):
            refusal = self._refusal(line, depth, body, headers)
        if refusal is not None:  # the broker answered: its connection is kept
            raise refusal

    def _refusal(self, line: _Line, depth: int | None, body: str, headers: dict[str, Any]) -> NotNow | None:
        """Publish; why the broker does not take the request. Raises what drops the connection."""
        if depth is None:
            return NotNow(_no_queue())
        if depth >= self.queue_limit:
            reason = f"{depth} requests wait in {EXECUTOR_QUEUE} (WORKER_EXECUTOR_QUEUE_LIMIT)"
            return NotNow(reason, delay_seconds=_FULL_SECONDS)
        line.returned = False
        try:
            line.producer.publish(
                body, exchange="", routing_key=EXECUTOR_QUEUE, headers=headers, correlation_id=headers["id"],
                content_type="application/json", content_encoding="utf-8", delivery_mode=2,
                mandatory=not self.broker.is_redis,
            )  # fmt: skip
        except ResponseError as error:  # Redis answered: it did not take it, and may be a replica now
            raise NotNow(_refused(error)) from None
        except MessageNacked:  # a queue that is full by its policy
            return NotNow("the broker does not take the request")
        except _errors(line.connection) as error:
            raise MaybeSent(f"the broker did not confirm the request ({type(error).__name__})") from None
        return NotNow(_no_queue()) if line.returned else None

    def waiting(self) -> int:
        """How many requests wait in the executor's queue. Raises NotNow."""
        with self._line() as (_, depth):
            pass
        if depth is None:
            raise NotNow(_no_queue())
        return depth

    def close(self) -> None:
        """Close the idle connections."""
        while True:
            try:
                _quit(self._idle.get_nowait())
            except queue.Empty:
                return

    def _headers(self) -> dict[str, Any]:
        # A request that waited longer than its answer is awaited would be paid for twice.
        expires = datetime.now(UTC) + timedelta(seconds=self.expires_seconds)
        return message_headers(EXECUTOR_TASK, str(uuid4())) | {"expires": expires.isoformat()}

    @contextmanager
    def _line(self) -> Iterator[tuple[_Line, int | None]]:
        """A connection that the broker has just answered on, and the depth of the executor's queue. Raises NotNow."""
        line, depth = self._take()
        try:
            yield line, depth
        except BaseException:
            _quit(line)
            raise
        try:
            self._idle.put_nowait(line)
        except queue.Full:
            _quit(line)

    def _take(self) -> tuple[_Line, int | None]:
        while True:
            try:
                line, idle = self._idle.get_nowait(), True
            except queue.Empty:
                line, idle = self._connect(), False
            try:
                return line, self._depth(line)
            except NotNow:
                _quit(line)
                if not idle:
                    raise
                # It was cut while it was idle; if the broker is away, a new one says so.

    def _connect(self) -> _Line:
        connection = publishing_connection(self.broker, confirmed=True)
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0, interval_max=0)
            line = _Line(connection, connection.Producer(auto_declare=False))
        except _errors(connection) as error:
            raise NotNow(f"the broker cannot be reached ({type(error).__name__})") from None

        def returned(*_: object) -> None:
            line.returned = True

        if not self.broker.is_redis:
            line.producer.channel.events["basic_return"].add(returned)
        return line

    def _depth(self, line: _Line) -> int | None:
        """How many requests wait in the executor's queue; None: there is no such queue. Raises NotNow."""
        try:
            if self.broker.is_redis:
                return _depth_of(line.connection.default_channel)
            with line.connection.channel() as channel:  # its own: RabbitMQ closes the channel of a missing queue
                return _depth_of(channel)
        except ChannelError:
            return 0 if self.broker.is_redis else None  # Redis: an empty list is none
        except ResponseError as error:
            raise NotNow(_refused(error)) from None
        except _errors(line.connection) as error:
            raise NotNow(f"the broker cannot be reached ({type(error).__name__})") from None


def _depth_of(channel: Any) -> int:
    return int(channel.queue_declare(EXECUTOR_QUEUE, passive=True).message_count)


def _embedded(ticket: AnswerTicket) -> dict[str, Any]:
    """Celery's link: the executor's worker sends its answer on to our queue, with the ticket."""
    return {
        "callbacks": [_signature(EXECUTOR_ANSWER_TASK, ticket)],
        "errbacks": [_signature(EXECUTOR_FAILURE_TASK, ticket)],
        "chain": None,
        "chord": None,
    }


def _signature(task: str, ticket: AnswerTicket) -> dict[str, Any]:
    return {
        "task": task,
        "args": [serialization.unstructure(ticket)],
        "kwargs": {},
        "options": {"queue": EXECUTOR_ANSWERS_QUEUE},
        "subtask_type": None,
        "immutable": False,
    }


def _refused(error: ResponseError) -> str:
    return f"the broker refuses requests ({type(error).__name__})"


def _no_queue() -> str:
    return f"the broker has no queue {EXECUTOR_QUEUE}: is the platform's executor worker running on it?"


def _errors(connection: Connection) -> tuple[type[Exception], ...]:
    return (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)


def _quit(line: _Line) -> None:
    try:
        line.connection.release()
    except Exception:  # boundary: a connection that broke may fail to close in any way its driver knows
        log.debug("connection did not close", exc_info=True)
