"""The client of the platform's internal API, and the HTTP that it shares with webhooks."""

from unstract_worker_core.backend.breaker import Breaker, BreakerState
from unstract_worker_core.backend.client import Backend
from unstract_worker_core.backend.exchange import ConnectFailed, Limits, PostResult, ResponseLost
from unstract_worker_core.backend.http import post_once

__all__ = ["Backend", "Breaker", "BreakerState", "ConnectFailed", "Limits", "PostResult", "ResponseLost", "post_once"]
