"""Forwards a message unchanged to another queue of the same broker, and confirms that the broker has it.

Unlike a doorbell such a message carries truth: the publish is confirmed, and an unroutable one is noticed.
"""

from typing import TYPE_CHECKING, Any

from amqp.exceptions import MessageNacked
from kombu.connection import Connection
from kombu.exceptions import KombuError

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.broker import declared_queue, publishing_connection

if TYPE_CHECKING:
    from kombu.messaging import Producer

# What of AMQP's properties a sender decides. Expiry is a header of Celery's.
_PROPERTIES = ("correlation_id", "reply_to", "priority", "delivery_mode", "message_id", "timestamp", "type", "app_id")
# RabbitMQ's own notes about this delivery.
_BROKERS_OWN = frozenset({"x-delivery-count"})

log = get_logger(__name__)


class NotForwarded(Exception):
    """The broker did not say that it took the message; named after the driver's error. It may have."""


class Forwarding:
    """One connection, for one thread at a time; made when it is first needed, and again after an error."""

    def __init__(self, broker: BrokerSettings) -> None:
        """Nothing is connected yet."""
        self._broker = broker
        self._connection: Connection | None = None
        self._producer: Producer | None = None
        self._known: set[str] = set()

    def forward(self, message: Any, queue: str) -> None:
        """Publish a kombu message to `queue`: same body, headers and content type. Once more on a fresh connection.

        Raises:
            NotForwarded: it must stay where it is.
        """
        for last in (False, True):
            connection = self._connection = self._connection or publishing_connection(self._broker, confirmed=True)
            try:
                self._publish(connection, message, queue)
            except (KombuError, OSError, MessageNacked, *connection.connection_errors, *connection.channel_errors) as e:
                self.close()
                # Refused by the broker itself: asking again at once changes nothing.
                if last or isinstance(e, MessageNacked):
                    raise NotForwarded(type(e).__name__) from None
            else:
                return

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection, self._producer = self._connection, None, None
        self._known.clear()
        if connection is None:
            return
        try:
            connection.collect()  # without a word to a broker that may not answer
        except Exception:  # boundary: a connection that broke may fail to close in any way its driver knows
            log.debug("connection did not close", exc_info=True)

    def _publish(self, connection: Connection, message: Any, queue: str) -> None:
        if self._producer is None:
            self._producer = connection.Producer(auto_declare=False)
        self._declare_once(connection, queue)
        body = message.body
        self._producer.publish(
            bytes(body) if isinstance(body, memoryview) else body,
            exchange="",
            routing_key=queue,
            mandatory=True,
            headers={name: value for name, value in message.headers.items() if name not in _BROKERS_OWN},
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            **{name: message.properties[name] for name in _PROPERTIES if message.properties.get(name) is not None},
        )

    def _declare_once(self, connection: Connection, queue: str) -> None:
        """The queue is there; as its consumers declared it, or as they would."""
        if self._broker.is_redis or queue in self._known:
            return
        entity = declared_queue(queue, self._broker)
        try:
            with connection.channel() as channel:
                entity(channel).queue_declare(passive=True)
        except connection.channel_errors:
            with connection.channel() as channel:
                entity(channel).declare()
        self._known.add(queue)
