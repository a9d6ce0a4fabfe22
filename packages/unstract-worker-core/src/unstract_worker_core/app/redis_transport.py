"""kombu's Redis transport, but that a malformed envelope in a queue ends as a dead letter and not as the worker's end.

kombu reads a popped item without a guard: what is not an envelope raises out of the event loop and stops the worker,
and so would the next one.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

__all__ = ["TolerantSentinelTransport", "TolerantTransport", "on_malformed"]

# What reading an envelope raises when it is none. Connection and server errors are not among these.
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_told: list[Callable[[str], None]] = []


def on_malformed(tell: Callable[[str], None]) -> None:
    """Call `tell(reason)` for each malformed envelope of this process; it was taken from its queue already."""
    _told[:] = [tell]


class _Tolerant:
    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except _MALFORMED as error:
            for tell in _told:
                tell(f"not a message envelope ({type(error).__name__})")
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
