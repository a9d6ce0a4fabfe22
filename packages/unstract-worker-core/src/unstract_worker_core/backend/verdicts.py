"""What an answer means: an `Answer`, a final error, or `Passing`, which may be over at the next try."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from unstract_worker_core.backend.answers import Answer, Json, NotJson, parse
from unstract_worker_core.backend.exchanges import RawAnswer
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.errors import BackendError, BackendRefused, NotFound, UnexpectedAnswer

_LONGEST_REASON = 256
_BUSY = frozenset({408, 425, 429})
_DOWN = frozenset({502, 503, 504})
_UNTOLD = {
    401: "the backend does not accept the API key (INTERNAL_SERVICE_API_KEY)",
    403: "the backend forbids this call",
}


class Passing(Exception):
    """A call that failed in a way that can pass.

    `applied`: whether it may have been carried out. `away`: whether the backend is away; None: no telling.
    `wait`: seconds that the backend asks for.
    """

    def __init__(
        self,
        reason: str,
        *,
        applied: bool,
        away: bool | None,
        status: int | None = None,
        wait: float | None = None,
    ) -> None:
        self.reason = reason
        self.applied = applied
        self.away = away
        self.status = status
        self.wait = wait
        super().__init__(reason)


def verdict(operation: Operation, raw: RawAnswer, request_id: str) -> Answer:
    """The answer, if it is one. Raises Passing, or a BackendError that is final."""
    if 200 <= raw.status < 300 or raw.status in operation.answers:
        return _answer(operation, raw, request_id)
    error: type[BackendError] = BackendRefused
    if raw.status in _BUSY:
        raise Passing("busy", applied=False, away=False, status=raw.status, wait=retry_after(raw.header("retry-after")))
    if raw.status in _DOWN:
        # A gateway that lost the answer (502, 504) may have lost it after the work; 503 turns away at the
        # door.
        applied = raw.status != 503 or operation.repeat is Repeat.ONCE
        wait = retry_after(raw.header("retry-after"))
        raise Passing("unavailable", applied=applied, away=True, status=raw.status, wait=wait)
    if 300 <= raw.status < 400:
        error, told = UnexpectedAnswer, "a redirect, not followed: a missing slash, or the wrong base URL"
    elif raw.status in _UNTOLD:
        told = _UNTOLD[raw.status]  # with DEBUG the body shows part of the key: it is not even read
    else:
        reason = reason_in(raw.body)
        told = reason or "no reason given"
        if raw.status == 404:
            error = NotFound if reason else UnexpectedAnswer
            told = reason or f"nothing is served at {operation.method} {operation.path}"
        elif raw.status == 500:
            error = _of_500(operation, reason)
    raise error(told, endpoint=operation.name, status=raw.status, request_id=request_id)


def _of_500(operation: Operation, reason: str | None) -> type[BackendError]:
    if reason and operation.misses(reason):
        return NotFound
    # The view of a ONCE operation that reports in its own words has ended; a bare 500 tells nothing.
    if reason and (operation.refuses(reason) or operation.repeat is Repeat.ONCE):
        return BackendRefused
    raise Passing(reason or "no reason given", applied=True, away=False, status=500)


def _answer(operation: Operation, raw: RawAnswer, request_id: str) -> Answer:
    try:
        body = parse(raw.body)
    except NotJson as error:
        what = "HTML" if "html" in (raw.header("content-type") or "").lower() else str(error)
        raise UnexpectedAnswer(
            f"expected JSON, got: {what}", endpoint=operation.name, status=raw.status, request_id=request_id
        ) from None
    if isinstance(body, dict) and raw.status not in operation.answers and _says_error(body):
        told = _reason(body) or "the body says error, without a reason"
        raise BackendRefused(told, endpoint=operation.name, status=raw.status, request_id=request_id)
    return Answer(operation.name, raw.status, request_id, body)


def reason_in(body: bytes) -> str | None:
    """The reason in an error body, in one line; None where it has none of the API's own shapes (HTML, text)."""
    try:
        value = parse(body)
    except NotJson:
        return None
    return _reason(value) if isinstance(value, dict) else None


def _reason(body: dict[str, Json]) -> str | None:
    """The five shapes: error and detail; message; a list of errors; messages by field; a bare detail."""
    errors = body.get("errors")
    if isinstance(errors, list):
        parts = [item.get("detail") or item.get("error") for item in errors if isinstance(item, dict)]
    elif any(isinstance(body.get(name), str) for name in ("error", "message", "detail")):
        parts = [body.get(name) for name in ("error", "message", "detail")]
    else:
        parts = [f"{name}: {value[0]}" for name, value in body.items() if isinstance(value, list) and value]
    told = [part for part in parts if isinstance(part, str) and part]
    return one_line(": ".join(told)) if told else None


def _says_error(body: dict[str, Json]) -> bool:
    return body.get("status") == "error" or body.get("success") is False


def one_line(text: str) -> str:
    """Text that is fit for a log line and for the backend's error column: printable, one line, 256 at most."""
    printable = (character if character.isprintable() else " " for character in text[: 16 * _LONGEST_REASON])
    flat = " ".join("".join(printable).split())
    return flat if len(flat) <= _LONGEST_REASON else flat[: _LONGEST_REASON - 3] + "..."


def retry_after(header: str | None) -> float | None:
    """Seconds in a Retry-After header, given as seconds or as a date; None if it says nothing sensible."""
    if header is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", header.strip(), re.ASCII):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
