"""One call to the backend, with its attempts, its time budget and the circuit breaker.

Only stamina repeats a call; `RetryState` is its hook. All attempts of a call share one request id, one idempotency key
and one budget.

The breaker counts a call once, when its attempts are used up; but each attempt without a response counts by itself:
it holds a thread of the backend, and many of those are what a starving backend cannot do with.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote
from uuid import uuid4

import structlog
from attrs import fields, frozen

from unstract_worker_core import identifiers
from unstract_worker_core.backend.breaker import Breaker, BreakerOpen, BreakerState, SilentCalls
from unstract_worker_core.backend.exchange import ConnectFailed, Limits, OnSilence, ResponseLost, ResponseRefused
from unstract_worker_core.backend.http import BaseTransport, Request, make_request, send
from unstract_worker_core.backend.operations import HEALTH, Operation, Repeat
from unstract_worker_core.backend.responses import ApiResponse, Json, TransientError, classify
from unstract_worker_core.config import BackendSettings
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
)
from unstract_worker_core.failpoints import hit
from unstract_worker_core.observability.tracing import trace_headers, traced_call
from unstract_worker_core.retries import Retrying

if TYPE_CHECKING:  # see `observability.metrics`
    from unstract_worker_core.observability.metrics import Metrics

LONGEST_WAIT_SECONDS = 30.0
# A call that should be answered soon is given up after this time without a byte; the next attempt has twice as much.
_QUICK_SECONDS = 5.0
_TRIAL_SECONDS = 15.0
_CONNECT_SECONDS = 10.0
_ENCODER = json.JSONEncoder(allow_nan=False)
_log = structlog.get_logger("unstract_worker_core.backend")
T = TypeVar("T")
R = TypeVar("R")
_TOO_LARGE = 413
_NO_IDS: Mapping[str, str] = {}
_PLAIN = re.compile(r"[0-9A-Za-z_.\-~]*")
_OUTCOMES: tuple[tuple[type[BackendError], str], ...] = (
    (NotFound, "not_found"),
    (BackendRefused, "refused"),
    (UnexpectedAnswer, "unexpected"),
    (OutcomeUnknown, "unknown"),
    (BackendUnavailable, "unavailable"),
)


class RetryState:
    """The attempts of one call: what bounds the next one, whether and when there is one, what it all amounts to.

    `trial`: the current attempt is a trial of the breaker, and the last one.
    """

    def __init__(
        self, operation: Operation, settings: BackendSettings, seconds: float, clock: Callable[[], float]
    ) -> None:
        """`seconds`: the budget of all attempts."""
        self.operation = operation
        self._settings = settings
        self._longest = seconds if operation.repeat is Repeat.ONCE else settings.timeout
        self._patience = _QUICK_SECONDS
        self._clock = clock
        self._end = clock() + seconds
        self._failed = 0
        self._applied = False
        self.trial = False

    def seconds_left(self) -> float:
        """What is left of the budget."""
        return max(0.0, self._end - self._clock())

    @property
    def guarded(self) -> bool:
        """Whether the call is no trial for a backend that may be away: it may do harm, or hold a thread for long."""
        return self.operation.slow or self.operation.repeat.unsafe

    def limits(self, on_silence: OnSilence) -> Limits:
        """The limits of the next attempt."""
        silence = None if self.guarded else _TRIAL_SECONDS if self.trial else self._patience
        return Limits(
            seconds=min(self._longest, self.seconds_left()),
            connect_seconds=_CONNECT_SECONDS if silence is None else min(silence, _CONNECT_SECONDS),
            body=self._settings.max_body_bytes,
            silence=silence,
            fresh=self.operation.repeat.unsafe,
            on_silence=on_silence,
        )

    def next_delay(self, error: Exception) -> float | bool:
        """Seconds until the next attempt; False: there is none."""
        if not isinstance(error, TransientError):
            return False
        self._failed += 1
        self._applied = self._applied or error.applied
        if error.silent:
            self._patience *= 2
        if self.trial or (error.applied and self.operation.repeat.unsafe):
            return False
        if self.operation.repeat is Repeat.ONCE and error.status is not None:
            return False
        backoff = self._settings.retry_backoff
        grown = backoff * 2 ** (self._failed - 1) if error.wait is None else error.wait
        delay = 0.0 if error.stale else min(grown, LONGEST_WAIT_SECONDS) + random.uniform(0, backoff)
        return False if self._clock() + delay >= self._end else delay

    def final_error(self, last: TransientError, request_id: str) -> BackendError:
        """What the call amounts to; an effect that any attempt may have had is an unknown outcome."""
        unknown = (self._applied or last.applied) and self.operation.repeat is not Repeat.READ
        kind = OutcomeUnknown if unknown else BackendUnavailable
        return kind(last.reason, endpoint=self.operation.name, status=last.status, request_id=request_id)


class Caller:
    """Makes calls. Safe for threads."""

    def __init__(
        self,
        settings: BackendSettings,
        transport: BaseTransport,
        metrics: "Metrics | None",
        *,
        version: str,
        breaker_wait: float,
        clock: Callable[[], float],
    ) -> None:
        """Nothing is sent yet. The arguments are those of `Backend`."""
        self._settings = settings
        self._transport = transport
        self._metrics = metrics
        self._breaker_wait = breaker_wait
        self._clock = clock
        self._key_refused = False
        threshold, recovery = settings.breaker_threshold, settings.breaker_recovery
        self.breaker = Breaker(threshold, recovery, clock=clock, on_change=self._breaker_changed)
        self.silent_calls = SilentCalls(metrics)
        self._retrying = Retrying(attempts=settings.retry_attempts + 1, timeout=None)
        self._base_url = settings.base_url.rstrip("/") + "/"
        key = settings.api_key.reveal()
        self._raw_key = key.encode()
        names = (attribute.name for attribute in fields(BackendSettings))
        self._prefixes = {name: getattr(settings, name) for name in names if name.endswith("_prefix")}
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"UnstractWorker/{version}",
        }

    @traced_call
    def __call__(
        self,
        operation: Operation,
        organization_id: str | None,
        *,
        ids: Mapping[str, str] = _NO_IDS,
        query: Mapping[str, str] = _NO_IDS,
        body: Json = None,
        key: str | None = None,
        seconds: float | None = None,
    ) -> ApiResponse:
        """Make a call.

        Args:
            operation: what is asked.
            organization_id: for which organization; None only for operations without one.
            ids: for the path.
            query: parameters of the URL.
            body: is sent as JSON, unless it is None.
            key: idempotency key.
            seconds: budget of all attempts; None: the configured one.

        Raises:
            MessageError: before any request, for a bad organization or key.
            BackendError: as its classes say.
        """
        request_id = str(uuid4())
        headers = {**self._headers, "X-Request-ID": request_id, **trace_headers()}
        if operation.organization:
            headers["X-Organization-ID"] = identifiers.organization_id(organization_id)
        if key is not None:
            headers["Idempotency-Key"] = identifiers.opaque_id(key, field="key")
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = _ENCODER.encode(body).encode("ascii")
        budget = self._settings.total_timeout if seconds is None else seconds
        state = RetryState(operation, self._settings, budget, self._clock)
        started = self._clock()
        error: BackendError | None = None
        hit("backend", operation.name, "before")
        try:
            request = make_request(operation.method, self._url(operation, ids), headers, query=query, body=content)
            response = self._retrying(state.next_delay, self._attempt, state, request, request_id)
        except (TransientError, BreakerOpen, ConnectFailed) as last:
            error = self._given_up(state, last, request_id)
            raise error from None
        except BackendError as raised:
            self.breaker.succeeded()
            error = raised
            raise
        finally:
            hit("backend", operation.name, "after")
            self._observe(operation.name, error, self._clock() - started)
        self.breaker.succeeded()
        return response

    def _url(self, operation: Operation, ids: Mapping[str, str]) -> str:
        quoted = {name: value if _PLAIN.fullmatch(value) else quote(value, safe="") for name, value in ids.items()}
        return self._base_url + operation.path.format(**self._prefixes, **quoted)

    def _attempt(self, state: RetryState, request: Request, request_id: str) -> ApiResponse:
        state.trial = self.breaker.admit(min(self._breaker_wait, state.seconds_left()))
        if state.trial and state.guarded:
            self._try_health()
        limits = state.limits(partial(self.silent_calls.notice, state.operation.name, request_id))
        try:
            return self._exchange(state.operation, request, limits, request_id)
        except TransientError as error:
            if error.silent:
                self.breaker.failed()
            raise
        finally:
            self.silent_calls.ended(request_id)

    def _try_health(self) -> None:
        """Find out whether the backend is there by a call that does no harm. Raises TransientError."""
        state = RetryState(HEALTH, self._settings, self._settings.timeout, self._clock)
        state.trial = True
        request = make_request(HEALTH.method, self._url(HEALTH, _NO_IDS), self._headers)
        try:
            self._exchange(HEALTH, request, state.limits(lambda seconds: None), "")
        except TransientError as error:
            raise TransientError(error.reason, applied=False, away=error.away, status=error.status) from None
        except BackendError:
            pass  # a refusal comes from a backend that is there
        self.breaker.succeeded()

    def _exchange(self, operation: Operation, request: Request, limits: Limits, request_id: str) -> ApiResponse:
        try:
            response = send(self._transport, request, limits)
        except ConnectFailed as error:
            raise TransientError(f"no connection: {error}", applied=False, away=True) from None
        except ResponseLost as error:
            # A file may take its whole hour: that says nothing about the backend.
            silent = error.timed_out and operation.repeat is not Repeat.ONCE
            away = True if silent or not error.timed_out else None
            raise TransientError(
                f"no response: {error}", applied=True, away=away, stale=error.stale, silent=silent
            ) from None
        except ResponseRefused as error:
            raise UnexpectedAnswer(
                str(error), endpoint=operation.name, status=error.status, request_id=request_id
            ) from None
        return classify(operation, response, request_id, key=self._raw_key)

    def _given_up(
        self, state: RetryState, last: TransientError | BreakerOpen | ConnectFailed, request_id: str
    ) -> BackendError:
        """The error of a call without a definite outcome; the breaker counts it."""
        if not isinstance(last, TransientError):
            reason = f"the circuit breaker is open, {last}" if isinstance(last, BreakerOpen) else str(last)
            return state.final_error(TransientError(reason, applied=False, away=None), request_id)
        if last.away is False:
            self.breaker.succeeded()
        elif last.away and not last.silent:
            self.breaker.failed()
        return state.final_error(last, request_id)

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
            _log.warning("the backend accepts the API key again")
        else:
            _log.error("the backend refuses the API key: everything waits for it", reason=str(error))
        if self._metrics is not None:
            self._metrics.backend_key_refused.set(int(refused))

    def _breaker_changed(self, state: BreakerState) -> None:
        _log.warning("backend breaker changed", state=state.value)
        if self._metrics is not None:
            self._metrics.breaker_open.set(0 if state is BreakerState.CLOSED else 1)


@frozen
class Part:
    """Which of the items one call is about: `first` and the `count - 1` after it, of `total`."""

    first: int
    count: int
    total: int

    def key(self, key: str | None) -> str | None:
        """The call's own idempotency key, made from that of the whole."""
        return key if key is None or self.count == self.total else f"{key}:{self.first}.{self.count}"


def in_parts(call: Callable[[Sequence[T], Part], R], items: Sequence[T]) -> Iterator[R]:
    """The answers to `call`, made once for all items, or for halves of them where the whole is refused with a 413.

    Raises what `call` raises, a 413 for a single item too.
    """
    waiting = [Part(0, len(items), len(items))]
    while waiting:
        part = waiting.pop()
        try:
            answer = call(items[part.first : part.first + part.count], part)
        except BackendRefused as error:
            if error.status != _TOO_LARGE or part.count < 2:
                raise
            half = part.count // 2
            waiting += [Part(part.first + half, part.count - half, part.total), Part(part.first, half, part.total)]
        else:
            yield answer
