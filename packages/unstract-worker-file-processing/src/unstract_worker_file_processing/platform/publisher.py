"""Sends a request to the platform's executor, and knows whether it was sent.

On RabbitMQ the broker confirms each request and returns one whose queue is not there. On Redis the answer to the push
is the confirm, and a queue without a consumer looks like an empty one.
"""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from amqp.exceptions import MessageNacked
from attrs import define, field
from redis.exceptions import ResponseError

from unstract_worker_core import serialization
from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.ledger import AnswerTicket
from unstract_worker_core.queues import EXECUTOR_ANSWER_TASK, EXECUTOR_ANSWERS_QUEUE, EXECUTOR_FAILURE_TASK
from unstract_worker_core.worker.broker import BrokerConnection, IdleConnections, publish_task, publishing_connection
from unstract_worker_file_processing.executor import MaybeSent, NotNow

EXECUTOR_QUEUE = "celery_executor_legacy"
EXECUTOR_TASK = "execute_extraction"
_FULL_SECONDS = 15.0
_FULL_LATELY_SECONDS = 60.0


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
    _idle: IdleConnections = field(factory=IdleConnections, init=False)
    _full_at: float = field(default=-math.inf, init=False)

    def publish(self, request: dict[str, Any], ticket: AnswerTicket) -> None:
        """Send a request; its answer comes with the ticket.

        Raises:
            NotNow: it was not sent: the broker is away, it has no such queue, or the queue is full.
            MaybeSent: the broker did not confirm it.
        """
        with self._connected() as (connection, depth):
            refusal = self._refusal(connection, depth, [[request], {}, _embedded(ticket)])
        if refusal is not None:  # the broker answered: its connection is kept
            raise refusal

    def _refusal(self, connection: BrokerConnection, depth: int | None, body: list[Any]) -> NotNow | None:
        """Publish; why the broker does not take the request. Raises what drops the connection."""
        if (refusal := self._no_room(depth)) is not None:
            return refusal
        connection.returned = False
        # A request that waited longer than its answer is awaited would be paid for twice.
        expires = (datetime.now(UTC) + timedelta(seconds=self.expires_seconds)).isoformat()
        try:
            publish_task(
                connection.producer, EXECUTOR_QUEUE, EXECUTOR_TASK, str(uuid4()), body, expires=expires,
                delivery_mode=2, mandatory=not self.broker.is_redis,
            )  # fmt: skip
        except ResponseError as error:  # Redis answered: it did not take it, and may be a replica now
            raise NotNow(_refused(error)) from None
        except MessageNacked:  # a queue that is full by its policy
            return NotNow("the broker does not take the request")
        except connection.errors as error:
            raise MaybeSent(f"the broker did not confirm the request ({type(error).__name__})") from None
        return NotNow(_no_queue()) if connection.returned else None

    def check_room(self) -> None:
        """Before a file is copied: whether a queue that was full lately still is. Raises NotNow."""
        if time.monotonic() - self._full_at > _FULL_LATELY_SECONDS:
            return
        with self._connected() as (_, depth):
            refusal = self._no_room(depth)
        if refusal is not None:
            raise refusal

    def _no_room(self, depth: int | None) -> NotNow | None:
        if depth is None:
            return NotNow(_no_queue())
        if depth < self.queue_limit:
            return None
        self._full_at = time.monotonic()
        reason = f"{depth} requests wait in {EXECUTOR_QUEUE} (WORKER_EXECUTOR_QUEUE_LIMIT)"
        return NotNow(reason, delay_seconds=_FULL_SECONDS, shared=False)  # no outage: answers go on being concluded

    def close(self) -> None:
        """Close the idle connections."""
        self._idle.close()

    @contextmanager
    def _connected(self) -> Iterator[tuple[BrokerConnection, int | None]]:
        """A connection that the broker has just answered on, and the depth of the executor's queue. Raises NotNow."""
        connection, depth = self._take()
        with self._idle.lend(connection):
            yield connection, depth

    def _take(self) -> tuple[BrokerConnection, int | None]:
        while True:
            idle = self._idle.take()
            connection = idle or self._connect()
            try:
                return connection, self._depth(connection)
            except NotNow:
                connection.quit()
                if idle is None:
                    raise
                # It was cut while it was idle; if the broker is away, a new one says so.

    def _connect(self) -> BrokerConnection:
        connection = publishing_connection(self.broker, confirmed=True)

        def returned(*_: object) -> None:
            connection.returned = True

        try:
            connection.reach(retries=1)
            if not self.broker.is_redis:
                connection.producer.channel.events["basic_return"].add(returned)
        except connection.errors as error:
            raise NotNow(f"the broker cannot be reached ({type(error).__name__})") from None
        return connection

    def _depth(self, connection: BrokerConnection) -> int | None:
        """How many requests wait in the executor's queue; None: there is no such queue. Raises NotNow."""
        try:
            return connection.depth(EXECUTOR_QUEUE)
        except ResponseError as error:
            raise NotNow(_refused(error)) from None
        except connection.errors as error:
            raise NotNow(f"the broker cannot be reached ({type(error).__name__})") from None


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
