"""Takes the workers' log events off their queue, in place of the platform's log consumer, so that it does not grow."""

# mypy: allow-untyped-calls

import contextlib
import json
import logging
import threading
from collections import OrderedDict, deque
from typing import Any

from attrs import define, field
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer

log = logging.getLogger(__name__)

QUEUE = "celery_log_task_queue"
WAIT_SECONDS = 0.5


@define
class LogEvents:
    """The last events of each channel, of the channels that were heard of last."""

    per_channel: int = 500
    channels: int = 1000
    _events: OrderedDict[str, deque[Any]] = field(factory=OrderedDict)

    def add(self, channel: str, event: Any) -> None:
        """Keep one event; the oldest of too many goes."""
        self._events.setdefault(channel, deque(maxlen=self.per_channel)).append(event)
        self._events.move_to_end(channel)
        if len(self._events) > self.channels:
            self._events.popitem(last=False)

    def of(self, channel: str) -> list[Any]:
        """The events of a channel, oldest first."""
        return list(self._events.get(channel, ()))

    def names(self) -> list[str]:
        """The channels, the one heard of last at the end."""
        return list(self._events)


def drain_until(broker_url: str, events: LogEvents, ended: threading.Event) -> None:
    """Consumes the queue. Kombu's own mixin would not end while the broker is away."""
    queue = Queue(QUEUE, Exchange(""), routing_key=QUEUE)
    while not ended.is_set():
        try:
            with Connection(broker_url) as connection, Consumer(connection, [queue], no_ack=True) as consumer:
                consumer.on_message = lambda message: events.add(*read(message.body))
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=WAIT_SECONDS)
        except (OSError, OperationalError, *Connection(broker_url).recoverable_connection_errors) as problem:
            log.warning("log events are not drained for now: %s", problem)
            ended.wait(1)


def read(body: Any) -> tuple[str, Any]:
    """Channel and message of one event; what can not be read is kept as it came."""
    try:
        text = bytes(body) if isinstance(body, memoryview) else body
        kwargs = json.loads(text)["kwargs"]
        return str(kwargs["user_session_id"]), kwargs["message"]
    except (ValueError, KeyError, TypeError):
        return "unreadable", str(body)[:1000]
