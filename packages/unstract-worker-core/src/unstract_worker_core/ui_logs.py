"""Execution log events for the platform's UI (contract: tasks 7): best effort, off the hot path, never failing a task.

A background thread publishes them to the platform's log queue and keeps each in the platform's Redis for the UI to
read later. When the queue of waiting events is full or a publish fails, events are dropped and counted.
"""

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from attrs import frozen
from kombu.connection import Connection
from redis import Redis

from unstract_worker_core.queues import LOG_QUEUE, LOG_TASK
from unstract_worker_core.redis import call_redis

_WAITING_LIMIT = 2000
# What comes within this time is sent together: two round trips, and one wake-up of the thread, instead of one an event.
_GATHER_SECONDS = 0.2
_MOST_TOGETHER = 100


@frozen
class LogEvent:
    """One line of an execution's log. `channel` is the execution's log id, else its pipeline id; None: no listener."""

    channel: str | None
    message: str
    execution_id: str
    organization_id: str
    stage: str = "PROCESSING"
    level: str = "INFO"
    file_execution_id: str | None = None


class LogEvents:
    """Publishes events in the background. `observe(outcome)` gets "sent", "failed" or "dropped"."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        redis: Redis,
        *,
        ttl_seconds: int,
        observe: Callable[[str], None],
        idle_seconds: float = 10.0,
    ) -> None:
        """Nothing is connected yet; a connection is closed after `idle_seconds` without events."""
        self._connect = connect
        self._redis = redis
        self._ttl = ttl_seconds
        self._observe = observe
        self._idle = idle_seconds
        self._waiting: queue.Queue[LogEvent | None] = queue.Queue(maxsize=_WAITING_LIMIT)
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._log = structlog.get_logger(__name__)

    def log(self, event: LogEvent) -> None:
        """Queue an event; returns at once and never raises."""
        if not event.channel:
            return
        try:
            self._start_once()
            self._waiting.put_nowait(event)
        except (queue.Full, RuntimeError):  # RuntimeError: no further thread can be started
            self._observe("dropped")

    def stop(self, timeout: float = 5.0) -> None:
        """Publish what waits, within the timeout."""
        thread = self._thread
        if thread is None or not thread.is_alive():
            return
        self._hurry.set()
        try:
            self._waiting.put(None, timeout=timeout)
        except queue.Full:
            return
        thread.join(timeout=timeout)

    def _start_once(self) -> None:
        # Started on first use: a thread does not survive a fork.
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._hurry.clear()
                thread = threading.Thread(target=self._loop, name="log-events", daemon=True)
                thread.start()
                self._thread = thread

    def _loop(self) -> None:
        while True:
            event = self._waiting.get()
            if event is None:
                return
            try:
                with self._connect() as connection:
                    if not self._publish_until_idle(connection, event):
                        return
            except Exception as error:  # noqa: BLE001 - thread boundary: each driver has its own errors, none may end it
                self._observe("failed")
                self._log.debug("log event not sent", error=type(error).__name__)

    def _publish_until_idle(self, connection: Connection, event: LogEvent | None) -> bool:
        """Publish on one connection until no event comes for a while; False when asked to stop."""
        producer = connection.Producer(auto_declare=False)
        while event is not None:
            self._hurry.wait(_GATHER_SECONDS)
            events, last = self._gathered(event)
            self._send(producer, events)
            for _ in events:
                self._observe("sent")
            if last:
                return False
            try:
                event = self._waiting.get(timeout=self._idle)
            except queue.Empty:
                return True
        return False

    def _gathered(self, event: LogEvent) -> tuple[list[LogEvent], bool]:
        events = [event]
        while len(events) < _MOST_TOGETHER:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return events, True
            events.append(following)
        return events, False

    def _send(self, producer: Any, events: Sequence[LogEvent]) -> None:
        with producer.batch(), self._redis.pipeline(transaction=False) as kept:
            for event in events:
                stamp = time.time()
                message = _message(event, stamp)
                kept.set(f"logs:{event.channel}:{stamp}", json.dumps(message), ex=self._ttl)
                producer.publish(
                    json.dumps(_body(event, message)),
                    exchange="",
                    routing_key=LOG_QUEUE,
                    content_type="application/json",
                    content_encoding="utf-8",
                    headers={"task": LOG_TASK},
                )
            call_redis(self._redis, "log_events", kept.execute)


def _body(event: LogEvent, message: dict[str, Any]) -> dict[str, Any]:
    arguments = {"event": f"logs:{event.channel}", "message": message, "user_session_id": event.channel}
    return {"args": [], "kwargs": arguments, "retries": 0, "utc": True}


def _message(event: LogEvent, stamp: float) -> dict[str, Any]:
    return {
        "timestamp": stamp,
        "type": "LOG",
        "level": event.level,
        "stage": event.stage,
        "log": event.message,
        "cost_type": None,
        "cost_units": None,
        "cost_value": None,
        "step": None,
        "iteration": None,
        "iteration_total": None,
        "execution_id": event.execution_id,
        "file_execution_id": event.file_execution_id,
        "organization_id": event.organization_id,
    }
