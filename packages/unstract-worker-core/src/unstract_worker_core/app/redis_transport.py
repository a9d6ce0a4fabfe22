"""kombu's Redis transport, but that a malformed envelope in a queue ends as a dead letter and not as the worker's end.

kombu reads a popped item without a guard: what is not an envelope raises out of the event loop and stops the worker,
and so would the next one. An item that is too large is refused before it is decoded, copied and kept as unacked.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

from unstract_worker_core.app.admission import BODY_LIMIT
from unstract_worker_core.app.redis_qos import PatientQoS

__all__ = ["ENVELOPE_LIMIT", "TolerantSentinelTransport", "TolerantTransport", "on_malformed"]

# Bytes of a whole item: the largest body as Base64, with room for the headers.
ENVELOPE_LIMIT = BODY_LIMIT * 11 // 8
# What reading an envelope raises when it is none. Connection and server errors are not among these.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_told: list[Callable[[str], None]] = []


def on_malformed(tell: Callable[[str], None]) -> None:
    """Call `tell(reason)` for each malformed envelope of this process; it was taken from its queue already."""
    _told[:] = [tell]


class _TooLarge(ValueError):
    """An item beyond the limit."""


def _popped(answer: Any, **options: object) -> tuple[bytes, bytes] | None:
    """What BRPOP answers, as redis-py gives it: queue and item, or None."""
    if not answer:
        return None
    queue, item = answer
    if len(item) > ENVELOPE_LIMIT:
        raise _TooLarge
    return queue, item


class _Tolerant:
    QoS = PatientQoS

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - the signature is kombu's
        client = super()._create_client(asynchronous)  # type: ignore[misc]
        client.set_response_callback("BRPOP", _popped)
        return client

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except _TooLarge:
            return _tell(f"larger than {ENVELOPE_LIMIT} bytes")
        except _MALFORMED as error:
            return _tell(f"not a message envelope ({type(error).__name__})")


def _tell(reason: str) -> bool:
    for tell in _told:
        tell(reason)
    return True


class TolerantChannel(_Tolerant, Channel):
    """A channel on a single server."""


class TolerantSentinelChannel(_Tolerant, SentinelChannel):
    """A channel behind Sentinel."""


class TolerantTransport(Transport):
    """Redis or rediss."""

    Channel = TolerantChannel


class TolerantSentinelTransport(SentinelTransport):
    """Sentinel."""

    Channel = TolerantSentinelChannel
