"""The platform's backend as one object: groups of typed calls over one transport and one circuit breaker."""

import ssl
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from attrs import frozen

from unstract_worker_core.backend import operations
from unstract_worker_core.backend.breaker import Breaker, BreakerState, SilentCalls
from unstract_worker_core.backend.call import Caller
from unstract_worker_core.backend.executions import Executions, Usage
from unstract_worker_core.backend.files import Files
from unstract_worker_core.backend.history import History
from unstract_worker_core.backend.http import BaseTransport, ThreadTransport, tls_context
from unstract_worker_core.backend.pipelines import Notifications, Pipelines
from unstract_worker_core.backend.workflows import Tooling, Workflows
from unstract_worker_core.config import BackendSettings
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    ConfigurationError,
    Fault,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
)

if TYPE_CHECKING:  # see `observability.prefork_metrics`
    from unstract_worker_core.observability.metrics import Metrics

_OUTCOMES: tuple[tuple[type[BackendError], str], ...] = (
    (NotFound, "not_found"),
    (BackendRefused, "refused"),
    (UnexpectedAnswer, "unexpected"),
    (OutcomeUnknown, "unknown"),
    (BackendUnavailable, "unavailable"),
)


@frozen
class Health:
    """What the backend says of itself."""

    status: str
    version: str = ""


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
        self._metrics = metrics
        self._key_refused = False
        self._log = structlog.get_logger("unstract_worker_core.backend")
        self._transport = transport or ThreadTransport(_tls(settings))
        self.breaker = Breaker(
            settings.breaker_threshold,
            settings.breaker_recovery,
            clock=clock,
            on_change=self._breaker_changed,
        )
        self._silence = SilentCalls(self._count_silent)
        call = Caller(
            settings,
            self._transport,
            self.breaker,
            version=version,
            observe=self._observe,
            silence=self._silence,
            breaker_wait=breaker_wait,
            clock=clock,
        )
        self._call = call
        self.executions = Executions(call, clock)
        self.workflows = Workflows(call)
        self.tooling = Tooling(call)
        self.files = Files(call, settings.file_execution_timeout)
        self.history = History(call)
        self.pipelines = Pipelines(call)
        self.notifications = Notifications(call)
        self.usage = Usage(call)

    def check(self) -> Health:
        """Ask whether the backend is healthy and accepts the key; needs no organization. Raises BackendError."""
        response = self._call(operations.HEALTH, None)
        return response.one(Health, response.object())

    def seconds_until_trial(self) -> float:
        """How long to step aside while the breaker is open; 0 when a call may be made now."""
        return self.breaker.seconds_until_trial()

    def silent_calls(self) -> tuple[str, ...]:
        """The calls of this process without a byte for more than a minute, in words."""
        return self._silence.shown()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _observe(self, operation: str, error: BackendError | None, seconds: float) -> None:
        self._key_answered(error)
        if self._metrics is None:
            return
        outcome = "ok"
        if error is not None:
            outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "unexpected")
        self._metrics.backend_calls.labels(operation, outcome).inc()
        self._metrics.backend_seconds.labels(operation).observe(seconds)

    def _key_answered(self, error: BackendError | None) -> None:
        """Say once that the key is refused, and once that it is accepted again."""
        refused = error is not None and error.status in (401, 403)
        if refused is self._key_refused or (error is not None and not refused):
            return
        self._key_refused = refused
        if error is None:
            self._log.warning("the backend accepts the API key again")
        else:
            self._log.error("the backend refuses the API key: everything waits for it", reason=str(error))
        if self._metrics is not None:
            self._metrics.backend_key_refused.set(int(refused))

    def _count_silent(self, change: int) -> None:
        if self._metrics is not None:
            self._metrics.backend_silent_calls.inc(change)

    def _breaker_changed(self, state: BreakerState) -> None:
        self._log.warning("backend breaker changed", state=state.value)
        if self._metrics is not None:
            self._metrics.breaker_open.set(0 if state is BreakerState.CLOSED else 1)


def _tls(settings: BackendSettings) -> ssl.SSLContext | None:
    if not settings.base_url.lower().startswith("https:"):
        return None
    try:
        return tls_context(settings.ca_file)
    except OSError:
        fault = Fault("INTERNAL_API_CA_FILE", "is not a readable file of PEM certificates")
        raise ConfigurationError((fault,)) from None
