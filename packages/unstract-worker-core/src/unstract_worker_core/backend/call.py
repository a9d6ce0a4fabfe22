"""One call to the backend, with its attempts, its time budget and the circuit breaker.

Only stamina repeats a call; `RetryState` is its hook. All attempts of a call share one request id, one idempotency key
and one budget.

The breaker counts a call once, when its attempts are used up; but each attempt without a response counts by itself: it
holds a thread of the backend, and a starving backend has none to spare.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

import structlog
from attrs import fields

from unstract_worker_core import identifiers
from unstract_worker_core.backend.breaker import Breaker, BreakerOpen, BreakerState, SilentCalls
from unstract_worker_core.backend.exchange import ConnectFailed, Limits, OnSilence, ResponseLost, ResponseRefused
from unstract_worker_core.backend.http import BaseTransport, Request, make_request, send
from unstract_worker_core.backend.operations import HEALTH, UNSAFE, Operation, Repeat
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
from unstract_worker_core.observability.tracing import active_span
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
_NONE: Mapping[str, str] = {}
_PLAIN = re.compile(r"[0-9A-Za-z_.\-~]*")
_OUTCOMES: tuple[tuple[type[BackendError], str], ...] = (
    (NotFound, "not_found"),
    (BackendRefused, "refused"),
    (UnexpectedAnswer, "unexpected"),
    (OutcomeUnknown, "unknown"),
    (BackendUnavailable, "unavailable"),
)


class RetryState:
    """The attempts of one call: the limits of the next one, whether and when it is made, and the final error.

    Attributes:
        request_id: names the call in the backend's log, in every attempt.
        guarded: the call must not be the breaker's trial, because it may do harm or hold a thread for long.
        trial: the current attempt is a trial of the breaker, and the last one.
    """

    def __init__(
        self, operation: Operation, settings: BackendSettings, seconds: float, clock: Callable[[], float]
    ) -> None:
        """`seconds`: the budget of all attempts."""
        self.operation = operation
        self.request_id = str(uuid4())
        self._unsafe = operation.repeat in UNSAFE
        self.guarded = operation.slow or self._unsafe
        self.trial = False
        self._settings = settings
        self._longest = seconds if operation.repeat is Repeat.ONCE else settings.timeout
        self._patience = _QUICK_SECONDS
        self._clock = clock
        self._end = clock() + seconds
        self._failed = 0
        self._applied = False

    def seconds_left(self) -> float:
        """What is left of the budget."""
        return max(0.0, self._end - self._clock())

    def limits(self, on_silence: OnSilence) -> Limits:
        """The limits of the next attempt."""
        silence = None if self.guarded else _TRIAL_SECONDS if self.trial else self._patience
        return Limits(
            seconds=min(self._longest, self.seconds_left()),
            connect_seconds=_CONNECT_SECONDS if silence is None else min(silence, _CONNECT_SECONDS),
            body=self._settings.max_body_bytes,
            silence=silence,
            fresh=self._unsafe,
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
        if self.trial or (error.applied and self._unsafe):
            return False
        if self.operation.repeat is Repeat.ONCE and error.status is not None:
            return False
        backoff = self._settings.retry_backoff
        grown = backoff * 2 ** (self._failed - 1) if error.wait is None else error.wait
        delay = 0.0 if error.stale else min(grown, LONGEST_WAIT_SECONDS) + random.uniform(0, backoff)
        return False if self._clock() + delay >= self._end else delay

    def final_error(self, last: TransientError) -> BackendError:
        """The error of the whole call; an unknown outcome if any attempt may have had an effect."""
        unknown = (self._applied or last.applied) and self.operation.repeat is not Repeat.READ
        kind = OutcomeUnknown if unknown else BackendUnavailable
        return kind(last.reason, endpoint=self.operation.name, status=last.status, request_id=self.request_id)


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

    def __call__(
        self,
        operation: Operation,
        organization_id: str | None,
        *,
        ids: Mapping[str, str] = _NONE,
        query: Mapping[str, str] = _NONE,
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
        budget = self._settings.total_timeout if seconds is None else seconds
        state = RetryState(operation, self._settings, budget, self._clock)
        span = active_span.get()
        with nullcontext(_NONE) if span is None else span.call(operation) as trace_headers:
            request = self._request(state, organization_id, ids, query, body, key, trace_headers)
            with self._observed(operation.name):
                return self._answer(state, request)

    def _request(
        self,
        state: RetryState,
        organization_id: str | None,
        ids: Mapping[str, str],
        query: Mapping[str, str],
        body: Json,
        key: str | None,
        trace_headers: Mapping[str, str],
    ) -> Request:
        operation, content = state.operation, None
        headers = {**self._headers, "X-Request-ID": state.request_id, **trace_headers}
        if operation.organization:
            headers["X-Organization-ID"] = identifiers.organization_id(organization_id)
        if key is not None:
            headers["Idempotency-Key"] = identifiers.opaque_id(key, field="key")
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = _ENCODER.encode(body).encode("ascii")
        try:
            return make_request(operation.method, self._url(operation, ids), headers, query=query, body=content)
        except ConnectFailed as error:
            raise state.final_error(TransientError(str(error), applied=False, away=None)) from None

    def _url(self, operation: Operation, ids: Mapping[str, str]) -> str:
        quoted = {name: value if _PLAIN.fullmatch(value) else quote(value, safe="") for name, value in ids.items()}
        return self._base_url + operation.path.format(**self._prefixes, **quoted)

    def _answer(self, state: RetryState, request: Request) -> ApiResponse:
        """The first definite answer of all attempts; the breaker counts the call."""
        try:
            response = self._attempt_until_definite(state, request)
        except (TransientError, BreakerOpen) as last:
            raise self._given_up(state, last) from None
        except BackendError:  # a refusal comes from a backend that is there
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()
        return response

    def _attempt_until_definite(self, state: RetryState, request: Request) -> ApiResponse:
        try:
            return self._attempt(state, request)
        except TransientError as error:
            return self._retrying.after(error, state.next_delay, self._attempt, state, request)

    def _attempt(self, state: RetryState, request: Request) -> ApiResponse:
        state.trial = self.breaker.admit(min(self._breaker_wait, state.seconds_left()))
        if state.trial and state.guarded:
            self._try_health()
        on_silence = partial(self.silent_calls.notice, state.operation.name, state.request_id)
        try:
            return self._exchange(state, request, on_silence)
        except TransientError as error:
            if error.silent:
                self.breaker.failed()
            raise
        finally:
            self.silent_calls.ended(state.request_id)

    def _try_health(self) -> None:
        """Check that the backend is there with the health call, which does no harm. Raises TransientError."""
        state = RetryState(HEALTH, self._settings, self._settings.timeout, self._clock)
        state.trial = True
        request = make_request(HEALTH.method, self._url(HEALTH, _NONE), self._headers)
        try:
            self._exchange(state, request, lambda seconds: None)
        except TransientError as error:
            raise TransientError(error.reason, applied=False, away=error.away, status=error.status) from None
        except BackendError:
            pass  # a refusal comes from a backend that is there
        self.breaker.succeeded()

    def _exchange(self, state: RetryState, request: Request, on_silence: OnSilence) -> ApiResponse:
        """One request and its response. Raises TransientError, and BackendError for what will not change."""
        operation, request_id = state.operation, state.request_id
        try:
            response = send(self._transport, request, state.limits(on_silence))
        except ConnectFailed as error:
            raise TransientError(f"no connection: {error}", applied=False, away=True) from None
        except ResponseLost as error:
            # A file may use its whole hour: that says nothing about the backend.
            silent = error.timed_out and operation.repeat is not Repeat.ONCE
            away = True if silent or not error.timed_out else None
            reason = f"no response: {error}"
            raise TransientError(reason, applied=True, away=away, stale=error.stale, silent=silent) from None
        except ResponseRefused as error:
            name, status = operation.name, error.status
            raise UnexpectedAnswer(str(error), endpoint=name, status=status, request_id=request_id) from None
        return classify(operation, response, request_id, key=self._raw_key)

    def _given_up(self, state: RetryState, last: TransientError | BreakerOpen) -> BackendError:
        """The error of a call without a definite outcome; the breaker counts it."""
        if isinstance(last, BreakerOpen):
            last = TransientError(f"the circuit breaker is open, {last}", applied=False, away=None)
        if last.away is False:
            self.breaker.succeeded()
        elif last.away and not last.silent:
            self.breaker.failed()
        return state.final_error(last)

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        """Around all attempts of a call: its failpoints, its metrics, what it says about the API key."""
        started = self._clock()
        error: BackendError | None = None
        hit("backend", operation, "before")
        try:
            yield
        except BackendError as raised:
            error = raised
            raise
        finally:
            hit("backend", operation, "after")
            self._note_key(error)
            self._count(operation, error, self._clock() - started)

    def _count(self, operation: str, error: BackendError | None, seconds: float) -> None:
        if self._metrics is None:
            return
        outcome = "ok"
        if error is not None:
            outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "unexpected")
        self._metrics.backend_calls.labels(operation, outcome).inc()
        self._metrics.backend_seconds.labels(operation).observe(seconds)

    def _note_key(self, error: BackendError | None) -> None:
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


class Resource:
    """The calls about one part of the internal API; its subclasses have a method for each."""

    def __init__(self, call: Caller) -> None:
        """`call` makes them."""
        self._call = call
