"""The client of the platform's internal API."""

from unstract_worker_core.backend.breaker import Breaker, BreakerState
from unstract_worker_core.backend.client import Backend
from unstract_worker_core.backend.exchanges import Interrupted, NotSent, PostAnswer
from unstract_worker_core.backend.transport import post_once

__all__ = ["Backend", "Breaker", "BreakerState", "Interrupted", "NotSent", "PostAnswer", "post_once"]
