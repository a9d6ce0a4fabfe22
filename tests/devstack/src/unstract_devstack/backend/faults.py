"""Faults on demand: which requests are to go wrong, and how their answers are sent then."""

import asyncio
import re
import time
import uuid
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from attrs import define, field
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = "<!doctype html>\n<html><head><title>Bad Gateway</title></head><body>injected</body></html>"
Connections = Collection[Any]
"""The open connections as uvicorn keeps them: each with its `client` and its `transport`."""


class FaultKind(StrEnum):
    """What happens to a request.

    ``status``: this status with a JSON error, not applied. ``html``: a page, not applied. ``body``: this text with
    this status, not applied. ``delay``: waits, then goes on as usual. ``hang``: waits, then cuts. ``cut_before``: closes
    the connection, not applied. The others are applied first: ``cut_after`` closes the connection instead of
    answering; ``answer`` answers with this status and body; ``slow`` sends the answer at so many bytes a second;
    ``truncated`` sends half of it and closes.
    """

    STATUS = "status"
    HTML = "html"
    BODY = "body"
    DELAY = "delay"
    HANG = "hang"
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    ANSWER = "answer"
    SLOW = "slow"
    TRUNCATED = "truncated"


@define
class Fault:
    """One fault: its match, its kind and the kind's parameters, how often (`count`) or how long (`seconds`) it acts."""

    kind: FaultKind = field(converter=FaultKind)
    path: str = field()
    method: str | None = None
    status: int = field()
    body: str = '{"error": "injected"}'
    delay: float = 30.0
    bytes_per_second: float = 1.0
    count: int | None = None
    seconds: float | None = None
    skip: int = 0
    hits: int = field(default=0, init=False)
    id: str = field(factory=lambda: str(uuid.uuid4()), init=False)
    _set: float = field(factory=time.monotonic, init=False)

    @status.default
    def _usual(self) -> int:
        return 200 if self.kind in {FaultKind.HTML, FaultKind.BODY} else 503

    @path.validator
    def _pattern(self, _: object, value: str) -> None:
        try:
            re.compile(value)
        except re.error as problem:
            raise ValueError(f"path is not a regular expression: {problem}") from None

    @property
    def spent(self) -> bool:
        """Whether it acts no more."""
        late = self.seconds is not None and time.monotonic() >= self._set + self.seconds
        return late or (self.count is not None and self.hits >= self.count)

    def acts(self, method: str, path: str) -> bool:
        """Whether it acts on this request, which counts as one hit. Called on the server's loop alone."""
        if self.spent or self.method not in (None, method) or not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True


@define
class Faulty:
    """The application as a fault lets it answer."""

    application: ASGIApp
    fault: Fault
    connections: Connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request wrongly."""
        fault = self.fault
        if fault.kind in {FaultKind.DELAY, FaultKind.HANG}:
            await asyncio.sleep(fault.delay)
        answer = Captured()
        if fault.kind in {FaultKind.CUT_AFTER, FaultKind.ANSWER, FaultKind.SLOW, FaultKind.TRUNCATED}:
            await self.application(scope, receive, answer)
        match fault.kind:
            case FaultKind.STATUS | FaultKind.BODY | FaultKind.ANSWER:
                await Response(fault.body, fault.status, media_type="application/json")(scope, receive, send)
            case FaultKind.HTML:
                await Response(PAGE, fault.status, media_type="text/html")(scope, receive, send)
            case FaultKind.DELAY:
                await self.application(scope, receive, send)
            case FaultKind.TRUNCATED:
                await send(answer.start)
                await _more(send, answer.body[: len(answer.body) // 2])
                await self._cut(scope, receive, flush=True)
            case FaultKind.SLOW:
                await send(answer.start)
                for at in range(len(answer.body)):
                    await asyncio.sleep(1 / fault.bytes_per_second)
                    await _more(send, answer.body[at : at + 1])
                await send({"type": "http.response.body", "body": b""})
            case _:
                await self._cut(scope, receive)

    async def _cut(self, scope: Scope, receive: Receive, *, flush: bool = False) -> None:
        """Close the connection, at once or after what was written, and wait until the server has seen it."""
        for transport in [each.transport for each in self.connections if each.client == scope["client"]]:
            if flush:
                transport.close()
            else:
                transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


@define
class Captured:
    """Takes an answer in the place of the caller."""

    start: Message = field(factory=dict)
    body: bytes = b""

    async def __call__(self, message: Message) -> None:
        """Keep one message."""
        if message["type"] == "http.response.start":
            self.start = message
        else:
            self.body += message.get("body", b"")


async def _more(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
