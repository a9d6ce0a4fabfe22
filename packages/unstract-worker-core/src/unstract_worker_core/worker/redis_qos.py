"""kombu's book of unacknowledged messages on Redis, as a lease: a living worker keeps what it holds.

kombu notes a message after it popped it, and gives one back that was not acknowledged for long, whether its worker
died or is still at it. Here a message is noted in the step that takes it (see `redis_take`), and its worker renews
what it holds: what is given back belongs to a worker that died.
"""

from time import time
from typing import Any

from kombu.transport.redis import QoS
from kombu.transport.virtual import QoS as InMemory
from redis.exceptions import ResponseError

from unstract_worker_core.observability.logs import get_logger

__all__ = ["MALFORMED", "LeasedQoS"]

log = get_logger(__name__)

# What reading an envelope raises when it is none. Connection and server errors are not among these.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class LeasedQoS(QoS):
    """What this process took and did not acknowledge yet."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Tags that Redis notes already and that are not delivered yet.
        self.noted: set[str] = set()

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message was delivered."""
        if delivery_tag not in self.noted:
            super().append(message, delivery_tag)
            return
        self.noted.discard(delivery_tag)
        InMemory.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """It is done with. Where that is refused, its note stays and brings it back once more: a repeat is harmless."""
        try:
            self.channel.drop_note(delivery_tag)
        except ResponseError as error:
            log.warning("a message could not be acknowledged, it will come again", kind=type(error).__name__)
        InMemory.ack(self, delivery_tag)

    def forget(self, delivery_tag: Any) -> None:
        """Redis noted it, but nobody is to get it. The tag is text, or bytes as an index that was read has it."""
        self.noted.discard(delivery_tag)
        self.channel.drop_note(delivery_tag)

    def restore_by_tag(self, tag: str, client: Any = None, leftmost: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's
        """It goes back to its queue. Where that is refused, its note stays and brings it back later."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except ResponseError as error:
            log.warning("a message could not be given back yet", kind=type(error).__name__)
        except MALFORMED as error:
            self.channel.refused(f"not a message envelope ({type(error).__name__})")
            self.forget(tag)

    def restore_visible(self, *args: Any, **options: Any) -> None:
        """Renew what this process holds, then give back what nobody renewed."""
        held = list(self._delivered)
        try:
            if held:
                with self.channel.conn_or_acquire() as client:
                    client.zadd(self.unacked_index_key, dict.fromkeys(held, time()), xx=True)
            super().restore_visible(*args, **options)
        except ResponseError as error:
            log.warning("unacknowledged messages could not be looked after", kind=type(error).__name__)
