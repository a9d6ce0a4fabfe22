"""Publishes doorbells: pipelined, on connections of their own, and without ever failing a step.

A doorbell that cannot be published is logged and counted: the ledger knows what was to be rung, the sweeper rings it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from unstract_worker_core import serialization
from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.doorbells import BatchDoorbell, RunDoorbell
from unstract_worker_core.failpoints import hit
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import DOORBELL_QUEUES, DOORBELL_TASKS, EXECUTOR_ANSWERS_QUEUE, Doorbell, queues_of
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.broker import (
    BrokerConnection,
    IdleConnections,
    declared_queue,
    publish_task,
    publishing_connection,
)

if TYPE_CHECKING:  # see `observability.metrics`
    from unstract_worker_core.observability.metrics import Metrics

# The depth while the broker cannot be asked: as if everything rung still waited, so that nothing is rung again now.
_UNKNOWN_DEPTH = 2**31
_CHUNK = 1000

log = get_logger(__name__)


class _BrokerAway(Exception):
    """The broker did not answer or accept; named after the driver's error."""


class CeleryDoorbells:
    """The doorbells of one process (see `core.doorbells.Doorbells`)."""

    def __init__(self, broker: BrokerSettings, metrics: "Metrics") -> None:
        self._broker = broker
        self._declares = not broker.is_redis
        self._metrics = metrics
        self._idle = IdleConnections()

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
        """The same for each queue, without a log line: it is read every few seconds."""
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
        self._idle.close()

    def _asked(self, queues: Sequence[str]) -> dict[str, int]:
        with self._connected() as connection:
            return {name: connection.depth(name) or 0 for name in queues}

    def _ring(self, bell: Doorbell, messages: Sequence[dict[str, Any]]) -> None:
        """Publish, once more on a fresh connection if the first attempt failed; doorbells may be repeated."""
        if not messages:
            return
        hit("doorbell", bell, "before")
        for last in (False, True):
            try:
                with self._connected() as connection:
                    self._publish(connection, bell, messages)
            except _BrokerAway as error:
                self._idle.close()  # the others were probably cut as well
                if last:
                    self._metrics.rings.labels(f"{bell}_failed").inc(len(messages))
                    log.warning("doorbells not published", doorbell=bell, number=len(messages), error=str(error))
                continue
            hit("doorbell", bell, "after")
            self._metrics.rings.labels(bell).inc(len(messages))
            return

    def _publish(self, connection: BrokerConnection, bell: Doorbell, messages: Sequence[dict[str, Any]]) -> None:
        queue_name, task, declared = DOORBELL_QUEUES[bell], DOORBELL_TASKS[bell], connection.declared
        if self._declares:
            # Declared before first use, asked again later: an idle connection that was cut shows here and not by loss.
            entity = declared_queue(queue_name, self._broker)(connection.default_channel)
            entity.queue_declare(passive=queue_name in declared) if declared else entity.declare()
            declared.add(queue_name)
        with connection.producer.batch(max_size=_CHUNK):
            for kwargs in messages:
                publish_task(connection.producer, queue_name, task, str(uuid4()), [[], kwargs, {}])

    @contextmanager
    def _connected(self) -> Iterator[BrokerConnection]:
        connection = self._idle.take() or publishing_connection(self._broker)
        try:
            with self._idle.lend(connection):
                _ = connection.default_channel  # connects, as the options say
                yield connection
        except connection.errors as error:
            raise _BrokerAway(type(error).__name__) from None


def _files_of(kind: RunKind) -> Doorbell:
    return Doorbell.API_FILES if kind is RunKind.API else Doorbell.FILES
