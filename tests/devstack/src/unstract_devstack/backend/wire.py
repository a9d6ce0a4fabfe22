"""The operations, and what they answer: contents, refusals, and the shape in which each says that it failed."""

import hmac
import uuid
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from unstract_devstack.backend.services import Call

HTML_TYPE = "text/html; charset=utf-8"
NOT_FOUND_PAGE = b'<!doctype html>\n<html lang="en"><head><title>Not Found</title></head><body>Not Found</body></html>'
FORBIDDEN_PAGE = b'<!DOCTYPE html>\n<html lang="en"><head><title>403 Forbidden</title></head><body>CSRF</body></html>'
FAILED_PAGE = b'{"detail": "Error processing the request."}'
Failure = Mapping[str, Any] | None
"""What a view answers with 500: this content, in which CAUSE is the problem's text, or a page."""
View = Callable[["Call"], Any]
"""Returns the content of an answer, with its status before it if that is not 200."""

CAUSE = "the problem's text"
SERVER_ERROR = MappingProxyType(
    {"type": "server_error", "errors": [{"code": "error", "detail": "Server Error (500)", "attr": None}]}
)
ERROR_CAUSE = MappingProxyType({"error": CAUSE})
BROKEN = MappingProxyType({"error": "Internal server error"})
STATUS_MESSAGE = MappingProxyType({"status": "error", "message": "Internal server error"})
PAGE = None


def failed(text: str) -> Failure:
    """A text and the cause."""
    return {"error": text, "detail": CAUSE}


class BadUuid(ValueError):
    """A value that should be a UUID and is not."""

    def __init__(self, value: object) -> None:
        super().__init__(f"['“{value}” is not a valid UUID.']")


class MalformedJson(ValueError):
    """A body that is not JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"JSON parse error - {problem}")


class NoMatch(LookupError):
    """A row that a view needs and that is not there."""


class Refused(Exception):
    """Ends a view with this answer, which is no success."""

    def __init__(self, status: int, content: Any) -> None:
        super().__init__(f"refused with {status}")
        self.status, self.content = status, content

    @property
    def answer(self) -> Response:
        """As it is sent."""
        return JSONResponse(self.content, self.status)


def refuse(status: int, /, **content: Any) -> Refused:
    """The exception that ends a view with this JSON body."""
    return Refused(status, content)


@frozen
class Operation:
    """One operation.

    ``plain``: a view that is not part of the framework (405 and errors are pages; POST meets CSRF). ``slow``: runs in
    the pool for files. ``parses``: a body that is no JSON is refused with 400 and not a failure.
    """

    method: str
    path: str
    view: View
    failure: Failure
    plain: bool
    slow: bool
    parses: bool

    def __call__(self, call: "Call") -> Response:
        """The answer to a call. Raises Refused, and whatever else a view fails with."""
        content = self.view(call)
        status, content = content if isinstance(content, tuple) else (200, content)
        return JSONResponse(content, status)

    def failing(self, problem: Exception) -> Response:
        """The answer of a view that failed."""
        if self.parses and isinstance(problem, MalformedJson):
            return standardized(400, "parse_error", str(problem))
        if self.failure is None:
            return html(500, FAILED_PAGE)
        text = f"missing: {problem}" if isinstance(problem, KeyError) else str(problem)
        content = {name: text if part is CAUSE else part for name, part in self.failure.items()}
        return JSONResponse(content, 400 if self.path.startswith("/dev/") else 500)


def operation(
    method: str,
    path: str,
    failure: Failure = SERVER_ERROR,
    *,
    plain: bool = False,
    slow: bool = False,
    parses: bool = False,
) -> Callable[[View], Operation]:
    """Makes a view the operation at this path."""
    return lambda view: Operation(method, path, view, failure, plain, slow, parses)


def html(status: int, page: bytes) -> Response:
    """An HTML reply."""
    return Response(page, status, media_type=HTML_TYPE)


def standardized(status: int, code: str, detail: str) -> Response:
    """The shape of errors that the framework itself answers."""
    errors = [{"code": code, "detail": detail, "attr": None}]
    return JSONResponse({"type": "client_error", "errors": errors}, status)


def valid_uuid(value: object) -> str:
    """The value as a UUID in its usual form. Raises BadUuid."""
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise BadUuid(value) from None


def unauthorized(request: Request, key: str) -> Response | None:
    """401 in the recorded shapes, or None for a caller with the bearer key."""
    header = request.headers.get("authorization")
    if header is None:
        texts = ("Authorization header required for internal APIs", "Missing Authorization header")
    elif not header.startswith("Bearer "):
        texts = ("Bearer token required for internal APIs", f"Invalid authorization format: {header[:20]}...")
    elif not hmac.compare_digest(header.removeprefix("Bearer ").encode(), key.encode()):
        texts = ("Invalid internal service API key", "API key does not match configured value")
    else:
        return None
    return JSONResponse({"error": texts[0], "detail": texts[1], "debug_info": {}}, 401)
