"""The client of the platform's internal API, and the HTTP that it shares with webhooks."""

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from unstract_worker_core.backend import operations
from unstract_worker_core.backend.breaker import Breaker, BreakerState
from unstract_worker_core.backend.call import Caller
from unstract_worker_core.backend.exchange import ConnectFailed, Limits, PostResult, ResponseLost, tls_context
from unstract_worker_core.backend.executions import Executions, Usage
from unstract_worker_core.backend.files import Files
from unstract_worker_core.backend.history import History
from unstract_worker_core.backend.http import BaseTransport, ThreadTransport, post_once
from unstract_worker_core.backend.pipelines import Notifications, Pipelines
from unstract_worker_core.backend.workflows import Tooling, Workflows
from unstract_worker_core.config import BackendSettings
from unstract_worker_core.errors import ConfigurationError, Fault

if TYPE_CHECKING:  # see `observability.metrics`
    from unstract_worker_core.observability.metrics import Metrics

__all__ = ["Backend", "Breaker", "BreakerState", "ConnectFailed", "Limits", "PostResult", "ResponseLost", "post_once"]


class Backend:
    """Calls to the backend's internal API; one per process, for all its threads.

    Every call takes the organization first and refuses a bad one with MessageError before any request. All
    other failures are BackendError. Calls with an effect take `key`, sent as Idempotency-Key.
    """

    def __init__(
        self,
        settings: BackendSettings,
        metrics: "Metrics | None" = None,
        *,
        version: str = "1.0.0",
        transport: BaseTransport | None = None,
        breaker_wait: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is sent yet.

        Args:
            settings: where the backend is, and how long to wait for it.
            metrics: counts the calls.
            version: goes into the User-Agent.
            transport: carries the requests; None: a connection for each thread.
            breaker_wait: seconds that a call waits for an open circuit breaker to close.
            clock: monotonic seconds.

        Raises:
            ConfigurationError: the CA file cannot be used.
        """
        self._transport = transport or ThreadTransport(_tls(settings))
        call = Caller(settings, self._transport, metrics, version=version, breaker_wait=breaker_wait, clock=clock)
        self._call = call
        self.breaker = call.breaker
        self.silent_calls = call.silent_calls
        self.executions = Executions(call, clock)
        self.workflows = Workflows(call)
        self.tooling = Tooling(call)
        self.files = Files(call, settings.file_execution_timeout)
        self.history = History(call)
        self.pipelines = Pipelines(call)
        self.notifications = Notifications(call)
        self.usage = Usage(call)

    def check(self) -> None:
        """Ask whether the backend is healthy and accepts the key; needs no organization. Raises BackendError."""
        self._call(operations.HEALTH, None).typed(str, "a text", "status")

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()


def _tls(settings: BackendSettings) -> ssl.SSLContext | None:
    if not settings.base_url.lower().startswith("https:"):
        return None
    try:
        return tls_context(settings.ca_file)
    except OSError:
        fault = Fault("INTERNAL_API_CA_FILE", "is not a readable file of PEM certificates")
        raise ConfigurationError((fault,)) from None
