"""kombu's Redis transport, but that no message is lost on its way into a worker (`redis_take`, `redis_qos`).

And one that is none, or is too large, ends as a dead letter and not as the worker's end: kombu reads it without a
guard, raises out of the event loop, and would again at the next one.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport.redis import SentinelChannel, SentinelTransport, Transport

from unstract_worker_core.app.redis_take import LookingPoller, TakingChannel

__all__ = ["TakingSentinelTransport", "TakingTransport", "on_malformed"]

_told: list[Callable[[str], None]] = []


def on_malformed(tell: Callable[[str], None]) -> None:
    """Call `tell(reason)` for each malformed envelope of this process; it was taken from its queue already."""
    _told[:] = [tell]


class _Telling(TakingChannel):
    def refused(self, reason: str) -> None:
        for tell in _told:
            tell(reason)


class SingleChannel(_Telling):
    """A channel on a single server."""


class BehindSentinelChannel(_Telling, SentinelChannel):
    """A channel behind Sentinel."""


class _Looking(Transport):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycle = LookingPoller()  # type: ignore[assignment]


class TakingTransport(_Looking):
    """Redis or rediss."""

    Channel = SingleChannel


class TakingSentinelTransport(_Looking, SentinelTransport):
    """Sentinel."""

    Channel = BehindSentinelChannel
