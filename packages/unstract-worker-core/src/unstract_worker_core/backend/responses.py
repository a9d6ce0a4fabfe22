"""What a response means: JSON that the contract allows (`ApiResponse`), a final error, or `TransientError`.

An error quotes only the reason that the API gives in its own words. For a body of the wrong shape it names the field's
path.
"""

import json
import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses as phrases
from typing import Any, TypeVar

from attrs import define, field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.http import Response
from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.errors import BackendError, BackendRefused, MessageError, NotFound, UnexpectedAnswer
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.serialization import (
    NotJson,
    finite,
    has_escaped_surrogates,
    one_line,
    refuse_constant,
    replace_surrogates,
)

# What json.loads gives; models narrow it.
Json = Any
T = TypeVar("T")
_LONGEST_INTEGER = 20
_BLANKS = " \t\n\r"
_BUSY = frozenset({408, 425, 429})
# With DEBUG the body of a 401 shows part of the key: these bodies are not read.
_KEY_REFUSED = {
    401: "the backend does not accept the API key (INTERNAL_SERVICE_API_KEY)",
    403: "the backend forbids this call",
}

log = get_logger(__name__)


@define(eq=False)
class TransientError(Exception):
    """An attempt that failed in a way that may pass.

    Attributes:
        applied: the request may have been carried out.
        away: the backend cannot be reached; None: that is not known.
        status: HTTP status, if there was a response.
        wait: seconds that the backend asks to wait.
        stale: the connection was closed while it was idle; another one will do at once.
        silent: no response came in time.
    """

    reason: str
    applied: bool
    away: bool | None
    status: int | None = None
    wait: float | None = None
    stale: bool = False
    silent: bool = False


class RepeatedKey(list[tuple[str, Json]]):
    """The members of an object that has a key twice, in a body that is read leniently."""


@frozen
class ApiResponse:
    """A response that the contract allows, still to be read. `lenient`: what is not strict JSON is still in it."""

    operation: str
    status: int
    request_id: str
    body: Json = field(repr=False)
    lenient: bool = False

    def member(self, *path: str) -> Json:
        """The value at a path of object keys. Raises UnexpectedAnswer where it is missing."""
        value = self.body
        for depth, name in enumerate(path, start=1):
            if not isinstance(value, dict) or name not in value:
                raise self.unexpected(f"{'.'.join(path[:depth])}: missing")
            value = value[name]
        return value

    def typed(self, kind: type[T], what: str, *path: str) -> T:
        """The value at a path; UnexpectedAnswer says that it is not `what` where it is of another type."""
        value = self.member(*path)
        if type(value) is not kind:
            raise self.unexpected(f"{'.'.join(path) or 'body'}: not {what}")
        return value

    def object(self, *path: str) -> dict[str, Json]:
        """The object at a path."""
        return self.typed(dict, "an object", *path)

    def items(self, *path: str) -> list[Json]:
        """The list at a path."""
        return self.typed(list, "a list", *path)

    def one(self, cls: type[T], value: Json) -> T:
        """A model from a part of the body."""
        try:
            return serialization.structure(replace_surrogates(value) if self.lenient else value, cls)
        except MessageError as error:
            raise self.unexpected(f"{error.field}: {error.reason}") from None

    def many(self, cls: type[T], values: list[Json]) -> tuple[T, ...]:
        """Models from a list in the body."""
        return tuple(self.one(cls, value) for value in values)

    def readable(self, cls: type[T], values: list[Json]) -> tuple[T, ...]:
        """As `many`, without the entries that cannot be read, which are logged: they do not hide the others."""
        found = []
        for number, value in enumerate(values, start=1):
            try:
                found.append(self.one(cls, value))
            except UnexpectedAnswer as error:
                log.warning("an entry of a list is unreadable", call=self.operation, entry=number, reason=error.message)
        return tuple(found)

    def unexpected(self, reason: str) -> UnexpectedAnswer:
        """The error that says what is wrong with this response."""
        return UnexpectedAnswer(reason, endpoint=self.operation, status=self.status, request_id=self.request_id)


def classify(operation: Operation, response: Response, request_id: str, *, key: bytes) -> ApiResponse:
    """What a response means.

    Args:
        operation: what was asked.
        response: its body was read.
        request_id: goes into errors.
        key: the API key; a backend that shows it must not get it into an error.

    Raises:
        TransientError: another attempt may succeed.
        BackendError: the same call will fail again.
    """
    status = response.status_code
    body = response.content.replace(key, b"***") if key in response.content else response.content
    if 200 <= status < 300 or status in operation.answers:
        return _accepted(operation, response, body, request_id)
    wait = retry_after(response.headers.get("retry-after"))
    if status in _BUSY:
        raise TransientError("the backend is busy", applied=False, away=False, status=status, wait=wait)
    if status > 501 and status != 505:
        # A gateway that lost the response (502, 504, codes of its own such as 520 to 530) may have lost it after the
        # work; 503 refuses before it.
        applied = status != 503 or operation.repeat is Repeat.ONCE
        raise TransientError("the backend is unavailable", applied=applied, away=True, status=status, wait=wait)
    error, reason = _refusal(operation, response, body)
    raise error(reason, endpoint=operation.name, status=status, request_id=request_id)


def _accepted(operation: Operation, response: Response, body: bytes, request_id: str) -> ApiResponse:
    status = response.status_code
    try:
        value = parse(body, lenient=operation.lenient)
    except NotJson as error:
        what = "HTML" if "html" in response.headers.get("content-type", "").lower() else str(error)
        raise UnexpectedAnswer(
            f"expected JSON, got: {what}", endpoint=operation.name, status=status, request_id=request_id
        ) from None
    failed = isinstance(value, dict) and (value.get("status") == "error" or value.get("success") is False)
    if failed and status not in operation.answers:
        reason = _reason(value) or "the backend reported an error without a reason"
        raise BackendRefused(reason, endpoint=operation.name, status=status, request_id=request_id)
    return ApiResponse(operation.name, status, request_id, value, operation.lenient)


def _refusal(operation: Operation, response: Response, body: bytes) -> tuple[type[BackendError], str]:
    status = response.status_code
    if 300 <= status < 400:
        return UnexpectedAnswer, "a redirect, not followed: a missing slash, or the wrong base URL"
    if status in _KEY_REFUSED:
        return BackendRefused, _KEY_REFUSED[status]
    reason = reason_in(body)
    if status == 500:
        return _permanent_500(operation, reason), reason or ""
    if reason is not None:
        return NotFound if status == 404 else BackendRefused, reason
    where = f"{response.request.method} {response.request.url.path}"
    if status == 404:
        return UnexpectedAnswer, f"nothing is served at {where}: wrong base URL, or a proxy's answer (HTTP 404)"
    shown = f"{status} {phrases.get(status, '')}".rstrip()
    return BackendRefused, f"{where} was refused without a reason, perhaps by a proxy (HTTP {shown})"


def _permanent_500(operation: Operation, reason: str | None) -> type[BackendError]:
    if reason and operation.misses(reason):
        return NotFound
    # The view of a ONCE operation that reports in its own words has ended; a bare 500 says nothing.
    if reason and (operation.refuses(reason) or operation.repeat is Repeat.ONCE):
        return BackendRefused
    raise TransientError(reason or "an internal error of the backend", applied=True, away=False, status=500)


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
    texts = [part for part in parts if isinstance(part, str) and part]
    return one_line(": ".join(texts)) if texts else None


def retry_after(header: str | None) -> float | None:
    """Seconds in a Retry-After header, given as seconds or as a date; None if it names no time to come.

    A date that is over by our clock, or 0, would use the attempts up at once.
    """
    if header is None:
        return None
    if re.fullmatch(r"[0-9]+", header.strip(), re.ASCII):
        return float(header) or None
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


def parse(body: bytes, *, lenient: bool = False) -> Json:
    """JSON from bytes; lone surrogates are replaced.

    Args:
        lenient: keep what is not strict JSON, so that it is refused with its own entry of a list: NaN, a number that is
            too large as infinity, an object with a repeated key as `RepeatedKey`, text that is not Unicode with lone
            surrogates.

    Raises:
        NotJson: it is not JSON; unless `lenient`, also for what json.loads accepts beyond JSON.
    """
    decoder = _LENIENT_DECODER if lenient else _DECODER
    try:
        text = body.decode("utf-8", "surrogateescape" if lenient else "strict").strip(_BLANKS)
        value, end = decoder.raw_decode(text)
        if end != len(text):
            raise ValueError("something follows")
        return replace_surrogates(value) if not lenient and has_escaped_surrogates(text) else value
    except NotJson:
        raise
    except UnicodeError:
        raise NotJson("text that is not Unicode") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError:
        raise NotJson("empty body" if not body.strip() else "not JSON") from None


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("an object with a repeated key")
    return members


def _object_or_pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json] | RepeatedKey:
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedKey(pairs)


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise NotJson(f"an integer of {len(digits)} digits")
    return int(digits)


def _integer_or_infinity(digits: str) -> float:
    return math.inf if len(digits) > _LONGEST_INTEGER else int(digits)


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=refuse_constant, parse_int=_integer, parse_float=finite
)
_LENIENT_DECODER = json.JSONDecoder(object_pairs_hook=_object_or_pairs, parse_int=_integer_or_infinity)
