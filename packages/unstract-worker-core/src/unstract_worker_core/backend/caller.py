"""One call to the backend: breaker, tries, time, verdict.

The only layer that repeats a call. All tries of a call share one request id, one idempotency key and one time
budget. The breaker hears of a call once, when its tries are used up; a trial of a half-open breaker is one
try.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from attrs import evolve, fields

from unstract_worker_core import identifiers
from unstract_worker_core.backend.answers import Answer, Json
from unstract_worker_core.backend.breaker import Breaker, BreakerOpen
from unstract_worker_core.backend.exchanges import AnswerRefused, Interrupted, NotSent, Wanted
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.backend.transport import Transport
from unstract_worker_core.backend.tries import Tries
from unstract_worker_core.backend.verdicts import Passing, verdict
from unstract_worker_core.config import BackendSettings
from unstract_worker_core.errors import BackendError, BackendUnavailable, UnexpectedAnswer
from unstract_worker_core.failpoints import hit
from unstract_worker_core.observability.tracing.current import trace_headers, traced_call
from unstract_worker_core.repeating import repeated

_ENCODER = json.JSONEncoder(allow_nan=False)
_NO_IDS: Mapping[str, str] = {}
_PLAIN = re.compile(r"[0-9A-Za-z_.\-~]*")
Observe = Callable[[str, BackendError | None, float], None]


class Caller:
    """Makes calls. Safe for threads; `observe` hears each call's operation, error (None: answered) and seconds."""

    def __init__(
        self,
        settings: BackendSettings,
        transport: Transport,
        breaker: Breaker,
        *,
        version: str,
        observe: Observe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._breaker = breaker
        self._observe = observe
        self._clock = clock
        self._base_url = settings.base_url.rstrip("/") + "/"
        key = settings.api_key.reveal()
        self._raw_key = key.encode()
        names = (attribute.name for attribute in fields(BackendSettings))
        self._prefixes = _Prefixes({name: getattr(settings, name) for name in names if name.endswith("_prefix")})
        self._shared = (
            ("Authorization", f"Bearer {key}"),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", f"UnstractWorker/{version}"),
        )
        self._paths: dict[str, str] = {}

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
    ) -> Answer:
        """The answer to a call: ids for the path, query, JSON body, idempotency key; `seconds` is its time budget.

        Raises MessageError before any request for a bad organization or key, else a BackendError.
        """
        request_id = identifiers.random_id()
        wanted = Wanted(
            operation.method,
            self._url(operation, ids),
            self._headers(operation, organization_id, key, request_id, body),
            self._settings.max_body_bytes,
            (*query.items(),),
            None if body is None else _ENCODER.encode(body).encode("ascii"),
            self._shared,
        )
        budget = self._settings.total_timeout if seconds is None else seconds
        tries = Tries(operation, self._settings, budget, self._clock)
        started = self._clock()
        error: BackendError | None = None
        hit("backend", operation.name, "before")
        try:
            return self._admitted(tries, wanted, request_id)
        except BackendError as raised:
            error = raised
            raise
        finally:
            hit("backend", operation.name, "after")
            self._observe(operation.name, error, self._clock() - started)

    def _url(self, operation: Operation, ids: Mapping[str, str]) -> str:
        path = self._paths.get(operation.name)
        if path is None:
            path = self._paths[operation.name] = operation.path.format_map(self._prefixes)
        return self._base_url + path.format_map({name: _quoted(value) for name, value in ids.items()})

    def _headers(
        self, operation: Operation, organization_id: str | None, key: str | None, request_id: str, body: Json
    ) -> dict[str, str]:
        headers = {"X-Request-ID": request_id, **trace_headers()}
        if operation.organization:
            headers["X-Organization-ID"] = identifiers.organization_id(organization_id)
        if key is not None:
            headers["Idempotency-Key"] = identifiers.opaque_id(key, field="key")
        if body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _admitted(self, tries: Tries, wanted: Wanted, request_id: str) -> Answer:
        try:
            trial = self._breaker.admit()
        except BreakerOpen as closed:
            raise BackendUnavailable(
                f"the circuit breaker is open, {closed}", endpoint=tries.operation.name, request_id=request_id
            ) from None
        try:
            answer = repeated(
                lambda: self._once(tries, wanted, request_id),
                on=tries.pause_after,
                attempts=1 if trial else self._settings.retry_attempts + 1,
                timeout=None,
            )
        except Passing as last:
            if last.away is not None:
                self._breaker.failed(trial=trial) if last.away else self._breaker.succeeded()
            raise tries.error(last, request_id) from None
        except BackendError:
            self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return answer

    def _once(self, tries: Tries, wanted: Wanted, request_id: str) -> Answer:
        operation = tries.operation
        try:
            raw = self._transport.exchange(wanted, tries.seconds_of_next())
        except NotSent as error:
            raise Passing(f"no connection ({error})", applied=False, away=True) from None
        except Interrupted as error:
            # A file may take its whole hour: that says nothing about the backend.
            away = None if error.timed_out and operation.repeat is Repeat.ONCE else True
            raise Passing(f"no answer ({error})", applied=True, away=away) from None
        except AnswerRefused as error:
            raise UnexpectedAnswer(
                str(error), endpoint=operation.name, status=error.status, request_id=request_id
            ) from None
        # A backend that shows the key, as its debug pages do in part, must not get it into an error.
        if self._raw_key in raw.body:
            raw = evolve(raw, body=raw.body.replace(self._raw_key, b"***"))
        return verdict(operation, raw, request_id)


class _Prefixes(dict[str, str]):
    """Puts the settings' prefixes into a path, and leaves the ids' places for later."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


def _quoted(value: str) -> str:
    return value if _PLAIN.fullmatch(value) else quote(value, safe="")
