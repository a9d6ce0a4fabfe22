"""Celery's consumer and its request: what cannot be processed becomes a dead letter once, and is never logged whole."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.request import Request
from celery.worker.state import maybe_shutdown

from unstract_worker_core.errors import ConfigurationError, LedgerError
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.broker import permanent_refusal
from unstract_worker_core.worker.rejected_messages import MALFORMED, dead_letter_message, rejection_reason

if TYPE_CHECKING:
    from unstract_worker_core.migration.traffic import TrafficSplit
    from unstract_worker_core.worker.process import WorkerProcess

# Pause before a message goes back to its queue after an internal error: the first one, and the longest.
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0
# The longest pause before a broker that cannot be reached is tried again: work goes on within 15 s of its return.
_LONGEST_OUTAGE_PAUSE_SECONDS = 6.0
# A connection that lasted for so long is made again at once.
_SETTLED_SECONDS = 30.0
log = get_logger(__name__)


class TaskRequest(Request):  # type: ignore[misc]
    """Set as `Request` of each task.

    With Celery's own, a bad time limit or date raises later, where it looks like an error of the worker, and an expired
    task is acknowledged and forgotten: its execution would stay PENDING for ever.
    """

    def __init__(self, message: Any, **options: Any) -> None:
        try:
            super().__init__(message, **options)
            self._read_times()
        except MALFORMED as error:
            raise InvalidTaskError(type(error).__name__) from error

    def maybe_expire(self) -> bool:
        """Whether it expired; it is a dead letter then. Raises LedgerError where that cannot be kept.

        Unlike Celery's, this does not remember the id: sent again by an operator, the task is to be run.
        """
        if self.expires is None or datetime.now(self.expires.tzinfo) <= self.expires:
            return False
        runtime = self.app.worker_process.runtime()
        dead_letter_message(runtime, self.message, f"it expired at {self.expires.isoformat()}, before it was processed")
        runtime.metrics.task(self.type, str(self.delivery_info.get("routing_key") or "")).ended("rejected", 0.0, "")
        return True

    def _read_times(self) -> None:
        """Read what Celery reads only later, and would then not tell from an error of its own."""
        limits = self.time_limits
        if len(limits) != 2 or not all(limit is None or isinstance(limit, int | float) for limit in limits):
            raise ValueError("time limits")
        for moment in (self.eta, self.expires):
            if moment is not None:
                moment.astimezone()


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Set by `worker_consumer`; its process is an attribute of the app."""

    _failures = 0
    _lost = 0
    _ready_at: float | None = None

    @property
    def process(self) -> "WorkerProcess":
        """The process of this consumer."""
        process: WorkerProcess = self.app.worker_process
        return process

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's handler, with everything around it: see `_receive`."""
        receive = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            try:
                self._receive(message, receive)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:  # noqa: BLE001 - boundary: an error of ours or of Celery's, which no message is to pay for
                self._put_back(message, error)
            else:
                self._failures = 0

        return on_task_received

    def _receive(self, message: Any, receive: Callable[[Any], None]) -> None:
        runtime = self.process.runtime()
        runtime.progress.claim_made()  # for liveness: under prefork the tasks run elsewhere
        reason = rejection_reason(message)
        if reason is not None:
            self.refuse(message, reason)
        elif self.traffic_split is None or not self.traffic_split.forward_if_foreign(message, self.connection_errors):
            receive(message)  # refuses by itself what it cannot read: see the methods below
            name, info = message.headers.get("task"), message.delivery_info or {}
            # What was refused is acknowledged by now; Celery's own acknowledgement comes later.
            if name in self.app.tasks and not message.acknowledged:
                runtime.metrics.task(name, str(info.get("routing_key") or "")).received()

    def _put_back(self, message: Any, error: Exception) -> None:
        """Requeue a message after a pause, which grows while this goes on; the message is held meanwhile."""
        pause = min(_PAUSE_SECONDS * 2**self._failures, _LONGEST_PAUSE_SECONDS)
        self._failures += 1
        log.error(
            "a message was not taken because of an internal error; it goes back to its queue",
            kind=type(error).__name__,
            seconds=pause,
            exc_info=error,
        )
        if not message.acknowledged:
            self.timer.call_after(pause, self._requeue, (message,))

    def _requeue(self, message: Any) -> None:
        if not message.acknowledged:
            message.reject_log_error(log, self.connection_errors, requeue=True)

    @cached_property
    def traffic_split(self) -> "TrafficSplit | None":
        """What decides about each message; None where everything is ours."""
        if self.process.settings.traffic.whole:
            return None
        from unstract_worker_core.migration.traffic import TrafficSplit  # few processes need it, and it loads a driver

        return TrafficSplit(self.process.runtime())

    def refuse(self, message: Any, reason: str) -> None:
        """Dead-letter a message and acknowledge it; where it cannot be kept, it goes back to its queue."""
        if message.acknowledged:
            return
        try:
            dead_letter_message(self.process.runtime(), message, reason)
        except LedgerError as error:
            log.warning("dead letter not stored; the message goes back to its queue", error=str(error))
            message.requeue()
            return
        message.ack_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be unpacked (a compressed one among them)."""
        self.refuse(message, rejection_reason(message) or f"its body cannot be decoded ({type(exc).__name__})")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Something that is not a task."""
        self.refuse(message, "it is not a task message")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker does not have."""
        self.refuse(message, "this worker has no such task: is it routed to the right queue?")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message with impossible parts."""
        self.refuse(message, f"it is not a valid task message ({type(exc).__name__})")

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, with pauses that grow, until the broker is there or the worker is to end."""
        refused = 0

        def failed(error: Exception, seconds: float) -> None:
            nonlocal refused
            log.warning("the broker cannot be reached", broker=self._location, error=str(error), seconds=seconds)
            if self._refuses(error):
                self.process.drain.draining.wait(min(2.0**refused, _LONGEST_PAUSE_SECONDS))
                refused += 1

        return conn.ensure_connection(failed, None, interval_max=_LONGEST_OUTAGE_PAUSE_SECONDS, callback=maybe_shutdown)

    def on_ready(self) -> None:
        """Consuming, again or for the first time."""
        super().on_ready()
        self._ready_at = time.monotonic()
        self.process.consuming = True

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """The broker refuses the connection itself."""
        self._pause(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The broker is gone, or refuses what a worker needs; Celery connects again by itself."""
        self.process.consuming = False
        super().on_connection_error_after_connected(exc)
        self._pause(exc)

    def _refuses(self, error: Exception) -> bool:
        """Whether an operator must change something before the broker takes this worker. One that starts ends."""
        fault = permanent_refusal(error)
        if fault is None:
            return False
        if self._ready_at is None:
            self.process.refuse(ConfigurationError((fault,)))
        log.error("the broker refuses this worker", variable=fault.variable, problem=fault.problem)
        return True

    def _pause(self, error: Exception) -> None:
        """Wait before the next connection, unless the last one held: a fault that stays must not fill the log."""
        if self._ready_at is not None and time.monotonic() - self._ready_at > _SETTLED_SECONDS:
            self._lost = 0
        longest = _LONGEST_PAUSE_SECONDS if self._refuses(error) else _LONGEST_OUTAGE_PAUSE_SECONDS
        seconds = min(2.0 ** (self._lost - 1), longest) if self._lost else 0.0
        self._lost += 1
        log.warning("the connection to the broker is lost", broker=self._location, error=str(error), seconds=seconds)
        self.process.drain.draining.wait(seconds)

    @property
    def _location(self) -> str:
        return self.process.settings.broker.location
