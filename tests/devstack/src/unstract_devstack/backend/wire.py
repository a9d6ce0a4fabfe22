"""Requests and replies of the reference backend, free of ASGI."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"
NOT_FOUND_PAGE = b'<!doctype html>\n<html lang="en"><head><title>Not Found</title></head><body>Not Found</body></html>'
FORBIDDEN_PAGE = b'<!DOCTYPE html>\n<html lang="en"><head><title>403 Forbidden</title></head><body>CSRF</body></html>'


class BadUuid(ValueError):
    """A value that should be a UUID and is not."""

    def __init__(self, value: object) -> None:
        super().__init__(f"['“{value}” is not a valid UUID.']")


class MalformedJson(ValueError):
    """A body that is not JSON."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"JSON parse error - {problem}")


class NoMatch(LookupError):
    """A row that a view demands and that is not there."""


@frozen
class Reply:
    """One answer."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """Ends a handler with a reply that is not a success."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply.status}")
        self.reply = reply


@define
class Request:
    """One request, its headers' names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> str | None:
        """The idempotency key, if the caller sent one."""
        return self.headers.get("idempotency-key")

    def json(self) -> Any:
        """The body as JSON; an empty one is an empty object. Raises MalformedJson."""
        if not self.body.strip():
            return {}
        try:
            return json.loads(self.body)
        except ValueError as problem:
            raise MalformedJson(str(problem)) from problem


def reply(status: int, content: Any) -> Reply:
    """A JSON reply."""
    return Reply(status, json.dumps(content, separators=(",", ":")).encode())


def refuse(status: int, /, **content: Any) -> Refused:
    """The exception that ends a handler with this JSON body."""
    return Refused(reply(status, content))


def html(status: int, page: bytes) -> Reply:
    """An HTML reply."""
    return Reply(status, page, HTML_TYPE)


def valid_uuid(value: object) -> str:
    """The value as a UUID in its usual form. Raises BadUuid."""
    try:
        return str(uuid.UUID(str(value)))
    except ValueError:
        raise BadUuid(value) from None
