"""The client of the platform's internal API."""

from unstract_worker_core.client.backend import Backend
from unstract_worker_core.client.breaker import Breaker, BreakerState
from unstract_worker_core.client.exchanges import Interrupted, NotSent, PostAnswer
from unstract_worker_core.client.transport import post_once

__all__ = ["Backend", "Breaker", "BreakerState", "Interrupted", "NotSent", "PostAnswer", "post_once"]
