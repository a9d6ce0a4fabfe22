"""kombu's Redis transport, but that no message is lost on its way into a worker (`redis_take`, `redis_qos`).

And one that is none, or is too large, ends as a dead letter and not as the worker's end: kombu reads it without a
guard, raises out of the event loop, and would again at the next one.
"""

from typing import Any

from kombu.transport.redis import SentinelChannel, SentinelTransport, Transport

from unstract_worker_core.worker.redis_take import LookingPoller, TakingChannel

__all__ = ["TakingSentinelTransport", "TakingTransport"]


class TakingTransport(Transport):
    """Redis or rediss."""

    Channel = TakingChannel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycle = LookingPoller()  # type: ignore[assignment]


class TakingSentinelChannel(TakingChannel, SentinelChannel):
    """A channel behind Sentinel."""


class TakingSentinelTransport(TakingTransport, SentinelTransport):
    """Sentinel."""

    Channel = TakingSentinelChannel
