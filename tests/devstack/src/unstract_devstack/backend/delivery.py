"""Sends answers wrongly where a fault says so."""

import asyncio
from collections.abc import Collection
from typing import Any

from attrs import define, field
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from unstract_devstack.backend.faults import Fault, FaultKind
from unstract_devstack.backend.wire import HTML_TYPE

PAGE = b"<!doctype html>\n<html><head><title>Bad Gateway</title></head><body>injected</body></html>"
JSON_TYPE = "application/json"


Connections = Collection[Any]
"""The open connections as uvicorn keeps them: each with its `client` and its `transport`."""


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

    async def begin(self, send: Send, length: int) -> None:
        """Send status and headers, with this length of the body."""
        headers = [(name, value) for name, value in self.start["headers"] if name != b"content-length"]
        await send({**self.start, "headers": [*headers, (b"content-length", str(length).encode())]})


async def before(fault: Fault, connections: Connections, scope: Scope, receive: Receive, send: Send) -> bool:
    """Do what a fault does in place of the handler; whether that was all."""
    match fault.kind:
        case FaultKind.STATUS | FaultKind.BODY:
            await Response(fault.body, fault.status, media_type=JSON_TYPE)(scope, receive, send)
        case FaultKind.HTML:
            await Response(PAGE, fault.status, media_type=HTML_TYPE)(scope, receive, send)
        case FaultKind.CUT_BEFORE:
            await _cut(connections, scope, receive)
        case FaultKind.HANG:
            await asyncio.sleep(fault.delay)
            await _cut(connections, scope, receive)
        case FaultKind.DELAY:
            await asyncio.sleep(fault.delay)
            return False
        case _:
            return False
    return True


async def after(
    fault: Fault, answer: Captured, connections: Connections, scope: Scope, receive: Receive, send: Send
) -> None:
    """Deliver the answer of a request that was applied, as the fault says."""
    match fault.kind:
        case FaultKind.CUT_AFTER:
            await _cut(connections, scope, receive)
        case FaultKind.ANSWER:
            await Response(fault.body, fault.status, media_type=JSON_TYPE)(scope, receive, send)
        case FaultKind.TRUNCATED:
            await answer.begin(send, len(answer.body))
            await _more(send, answer.body[: len(answer.body) // 2])
            await _cut(connections, scope, receive, flush=True)
        case _:  # slow
            await answer.begin(send, len(answer.body))
            for at in range(len(answer.body)):
                await asyncio.sleep(1 / fault.bytes_per_second)
                await _more(send, answer.body[at : at + 1])
            await send({"type": "http.response.body", "body": b""})


async def _more(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _cut(connections: Connections, scope: Scope, receive: Receive, *, flush: bool = False) -> None:
    """Close the connection, at once or after what was written, and wait until the server has seen it."""
    for transport in [each.transport for each in connections if each.client == scope["client"]]:
        if flush:
            transport.close()
        else:
            transport.abort()
    await _hung_up(receive)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
