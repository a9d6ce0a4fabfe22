"""Publishes doorbells: pipelined, on connections of their own, and without ever failing a step.

A doorbell that cannot be published is logged and counted: the ledger knows what was to be rung, the sweeper rings it.
"""

import json
import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import define, field
from kombu.connection import Connection
from kombu.exceptions import ChannelError, KombuError
from kombu.messaging import Producer

from unstract_worker_core import serialization
from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.doorbells import BatchDoorbell, RunDoorbell
from unstract_worker_core.failpoints import hit
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import DOORBELL_QUEUES, DOORBELL_TASKS, EXECUTOR_ANSWERS_QUEUE, Doorbell, queues_of
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.broker import declared_queue, publishing_connection

if TYPE_CHECKING:  # see `observability.metrics`
    from unstract_worker_core.observability.metrics import Metrics

# The depth while the broker cannot be asked: as if everything rung still waited, so that nothing is rung again now.
_UNKNOWN_DEPTH = 2**31
_CHUNK = 1000
_IDLE_PRODUCERS = 8

log = get_logger(__name__)


class _BrokerAway(Exception):
    """The broker did not take or tell what it was asked for; named after the driver's error."""


@define
class _Line:
    """One connection to the broker with its producer, used by one thread at a time."""

    connection: Connection
    producer: Producer
    declared: set[str] = field(factory=set)


class CeleryDoorbells:
    """The doorbells of one process (see `core.doorbells.Doorbells`)."""

    def __init__(self, broker: BrokerSettings, metrics: "Metrics") -> None:
        self._broker = broker
        self._metrics = metrics
        self._idle: queue.LifoQueue[_Line] = queue.LifoQueue(_IDLE_PRODUCERS)

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        """Ask for an accepted run to be orchestrated, or a webhook to be delivered."""
        if task is RunTask.WEBHOOK:
            bell = Doorbell.DELIVER
        else:
            bell = Doorbell.ORCHESTRATE_API if kind is RunKind.API else Doorbell.ORCHESTRATE
        self._ring(bell, [serialization.unstructure(RunDoorbell(run_id))])

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        """Ask for batches to be processed."""
        doorbells = (BatchDoorbell(run_id, epoch, batch) for batch in batches)
        self._ring(_files_of(kind), [serialization.unstructure(doorbell) for doorbell in doorbells])

    def ring_callback(self, run_id: str) -> None:
        """Ask for a READY run to be finalised."""
        self._ring(Doorbell.CALLBACK, [serialization.unstructure(RunDoorbell(run_id))])

    def waiting(self, kind: RunKind) -> int:
        """How many batch doorbells of the kind wait; a very large number while the broker cannot be asked."""
        depth = self.depth((DOORBELL_QUEUES[_files_of(kind)],))
        return _UNKNOWN_DEPTH if depth is None else depth

    def depth(self, queues: Sequence[str]) -> int | None:
        """How many messages wait in these queues; None while the broker cannot be asked."""
        try:
            return sum(self._asked(queues).values())
        except _BrokerAway as error:
            log.warning("queue depth not known", error=str(error))
            return None

    def depths(self, queues: Sequence[str]) -> dict[str, int] | None:
        """The same for each queue, and without a word: it is asked every few seconds."""
        try:
            return self._asked(queues)
        except _BrokerAway:
            return None

    def starts_waiting(self) -> int | None:
        """How many start messages wait in the platform's default queues; None while the broker cannot be asked."""
        starters = (WorkerType.API_DEPLOYMENT, WorkerType.GENERAL)
        return self.depth(tuple(name for kind in starters for name in queues_of(kind).platform))

    def answers_waiting(self) -> int | None:
        """How many answers of executors wait to be recorded; None while the broker cannot be asked."""
        return self.depth((EXECUTOR_ANSWERS_QUEUE,))

    def close(self) -> None:
        """Close the idle connections."""
        while True:
            try:
                _quit(self._idle.get_nowait())
            except queue.Empty:
                return

    def _asked(self, queues: Sequence[str]) -> dict[str, int]:
        with self._line() as line:
            return {name: _depth(line, name, is_redis=self._broker.is_redis) for name in queues}

    def _ring(self, bell: Doorbell, messages: Sequence[dict[str, Any]]) -> None:
        """Publish, once more on a fresh connection if the first attempt failed; doorbells may be repeated."""
        if not messages:
            return
        hit("doorbell", bell, "before")
        for last in (False, True):
            try:
                with self._line() as line:
                    self._publish(line, bell, messages)
            except _BrokerAway as error:
                self.close()  # the others were probably cut as well
                if last:
                    self._metrics.rings.labels(f"{bell}_failed").inc(len(messages))
                    log.warning("doorbells not published", doorbell=bell, number=len(messages), error=str(error))
                continue
            hit("doorbell", bell, "after")
            self._metrics.rings.labels(bell).inc(len(messages))
            return

    def _publish(self, line: _Line, bell: Doorbell, messages: Sequence[dict[str, Any]]) -> None:
        queue_name, task = DOORBELL_QUEUES[bell], DOORBELL_TASKS[bell]
        if not self._broker.is_redis:
            # Declared before first use, asked again later: an idle connection that was cut shows here and not by loss.
            entity = declared_queue(queue_name, self._broker)(line.connection.default_channel)
            entity.queue_declare(passive=queue_name in line.declared) if line.declared else entity.declare()
            line.declared.add(queue_name)
        with line.producer.batch(max_size=_CHUNK):
            for kwargs in messages:
                task_id = str(uuid4())
                line.producer.publish(
                    json.dumps([[], kwargs, {}]), exchange="", routing_key=queue_name,
                    headers=message_headers(task, task_id), correlation_id=task_id, content_type="application/json",
                    content_encoding="utf-8",
                )  # fmt: skip

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        line = self._take()
        try:
            yield line
        except _errors(line.connection) as error:
            _quit(line)
            raise _BrokerAway(type(error).__name__) from None
        except BaseException:
            _quit(line)
            raise
        try:
            self._idle.put_nowait(line)
        except queue.Full:
            _quit(line)

    def _take(self) -> _Line:
        try:
            return self._idle.get_nowait()
        except queue.Empty:
            connection = publishing_connection(self._broker)
            try:
                _ = connection.default_channel  # connects, as the options say
                return _Line(connection, connection.Producer(auto_declare=False))
            except _errors(connection) as error:
                raise _BrokerAway(type(error).__name__) from None


def _errors(connection: Connection) -> tuple[type[Exception], ...]:
    return (KombuError, OSError, *connection.connection_errors, *connection.channel_errors)


def _files_of(kind: RunKind) -> Doorbell:
    return Doorbell.API_FILES if kind is RunKind.API else Doorbell.FILES


def message_headers(task: str, task_id: str) -> dict[str, Any]:
    """What Celery's protocol 2 asks of a task message."""
    return {
        "lang": "py", "task": task, "id": task_id, "root_id": task_id, "parent_id": None, "group": None,
        "retries": 0, "timelimit": [None, None], "eta": None, "expires": None, "ignore_result": True,
        "argsrepr": "()", "kwargsrepr": "{}", "origin": "unstract-worker",
    }  # fmt: skip


def _depth(line: _Line, queue_name: str, *, is_redis: bool) -> int:
    try:
        if is_redis:
            return int(line.connection.default_channel.queue_declare(queue_name, passive=True).message_count)
        with line.connection.channel() as channel:  # its own: RabbitMQ closes the channel of a queue that is not there
            return int(channel.queue_declare(queue_name, passive=True).message_count)
    except ChannelError:
        return 0  # no such queue: nothing waits


def _quit(line: _Line) -> None:
    close: Callable[[], None] = line.connection.release
    try:
        close()
    except Exception:  # boundary: a connection that broke may fail to close in any way its driver knows
        log.debug("connection did not close", exc_info=True)
