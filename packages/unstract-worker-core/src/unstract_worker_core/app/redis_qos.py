"""kombu's book of unacknowledged messages on Redis, but that a server which takes no writes cannot make it lose one.

kombu pops a message and then notes it as unacknowledged. Where the note is refused (out of memory, too few replicas,
a full disk) it drops the message, though nobody has it any more. Here it is delivered all the same: its task waits
for the ledger, and acknowledges only once the work is recorded there.
"""

from typing import Any

from kombu.transport.redis import QoS
from kombu.transport.virtual import QoS as InMemory
from kombu.utils.json import dumps
from redis.exceptions import ResponseError

from unstract_worker_core.logs import get_logger

__all__ = ["PatientQoS"]

log = get_logger(__name__)


class PatientQoS(QoS):
    """Holds in memory what could not be noted; gone only if this process dies before Redis takes writes again."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._not_noted: dict[str, tuple[Any, str, str]] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was delivered."""
        try:
            super().append(message, delivery_tag)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            log.warning("a message is held in memory: Redis refuses writes", kind=type(error).__name__)
            info = message.delivery_info
            self._not_noted[delivery_tag] = (message._raw, info["exchange"], info["routing_key"])  # noqa: SLF001
            InMemory.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """It is done with. Where that is refused, its note stays and brings it back once more: a repeat is harmless."""
        try:
            super().ack(delivery_tag)  # type: ignore[no-untyped-call]
        except ResponseError as error:
            log.warning("a message could not be acknowledged, it will come again", kind=type(error).__name__)
            InMemory.ack(self, delivery_tag)
        self._not_noted.pop(delivery_tag, None)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """It goes back to its queue."""
        held = self._not_noted.get(tag)
        if held is None:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)  # type: ignore[no-untyped-call]
            return
        raw, exchange, routing_key = held
        channel = self.channel
        priority = channel._get_message_priority(raw, reverse=False)  # noqa: SLF001
        try:
            with channel.conn_or_acquire(client) as connected:
                push = connected.lpush if leftmost else connected.rpush
                for queue in channel._lookup(exchange, routing_key):  # noqa: SLF001
                    push(channel._q_for_pri(queue, priority), dumps(raw))  # noqa: SLF001
        except ResponseError as error:
            log.error("a message could not be given back: Redis refuses writes", kind=type(error).__name__)
        else:
            del self._not_noted[tag]
