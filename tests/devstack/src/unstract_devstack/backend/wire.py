"""What views answer, and the shapes in which they answer what went wrong: each has its own, clients cope with all."""

import hmac
import uuid
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

HTML_TYPE = "text/html; charset=utf-8"
NOT_FOUND_PAGE = b'<!doctype html>\n<html lang="en"><head><title>Not Found</title></head><body>Not Found</body></html>'
FORBIDDEN_PAGE = b'<!DOCTYPE html>\n<html lang="en"><head><title>403 Forbidden</title></head><body>CSRF</body></html>'
FailureShape = Callable[[Exception], Response]


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
    """Ends a handler with a reply that is not a success."""

    def __init__(self, reply: Response) -> None:
        super().__init__(f"refused with {reply.status_code}")
        self.reply = reply


def reply(status: int, content: Any) -> Response:
    """A JSON reply."""
    return JSONResponse(content, status)


def refuse(status: int, /, **content: Any) -> Refused:
    """The exception that ends a handler with this JSON body."""
    return Refused(reply(status, content))


def html(status: int, page: bytes) -> Response:
    """An HTML reply."""
    return Response(page, status, media_type=HTML_TYPE)


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
    return reply(401, {"error": texts[0], "detail": texts[1], "debug_info": {}})


def standardized(status: int, code: str, detail: str, kind: str = "client_error") -> Response:
    """The shape of errors that the framework itself answers."""
    return reply(status, {"type": kind, "errors": [{"code": code, "detail": detail, "attr": None}]})


def server_error(problem: Exception) -> Response:
    """An error that escaped its view."""
    return standardized(500, "error", "Server Error (500)", "server_error")


def error_detail(text: str) -> FailureShape:
    """500 with a text and the cause."""
    return lambda problem: reply(500, {"error": text, "detail": str(problem)})


def error_only(text: str) -> FailureShape:
    """500 with a text that says nothing of the cause."""
    return lambda problem: reply(500, {"error": text})


def error_cause(problem: Exception) -> Response:
    """500 with the cause alone."""
    return reply(500, {"error": str(problem)})


def status_message(problem: Exception) -> Response:
    """500 in the shape of pipeline and webhook data."""
    return reply(500, {"status": "error", "message": "Internal server error"})


def page(problem: Exception) -> Response:
    """500 of a plain view: a page, whatever was asked for."""
    return html(500, b'{"detail": "Error processing the request."}')


def parse_refused(otherwise: FailureShape) -> FailureShape:
    """400 for a body that is not JSON, else the given shape."""

    def shape(problem: Exception) -> Response:
        if isinstance(problem, MalformedJson):
            return standardized(400, "parse_error", str(problem))
        return otherwise(problem)

    return shape


def wrong(problem: Exception) -> Response:
    """400 of the dev API with what is wrong with the request."""
    text = f"missing: {problem}" if isinstance(problem, KeyError) else str(problem)
    return reply(400, {"error": text or type(problem).__name__})
