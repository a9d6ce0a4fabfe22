"""Sends answers, and sends them wrongly where a fault says so."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from unstract_devstack.backend.faults import Fault, FaultKind
from unstract_devstack.backend.protocol import Connections
from unstract_devstack.backend.wire import HTML_TYPE, Reply

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIScope = MutableMapping[str, Any]

NO_ANSWER = Reply(0)
PAGE = b"<!doctype html>\n<html><head><title>Bad Gateway</title></head><body>injected</body></html>"


class Delivery:
    """Writes answers to connections, and cuts connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def deliver(self, answer: Reply, scope: ASGIScope, send: Send) -> int:
        """Send an answer in one piece."""
        await self._start(answer, len(answer.body), send)
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
        return answer.status

    async def _start(self, answer: Reply, length: int, send: Send) -> None:
        headers = [(b"content-type", answer.content_type.encode()), (b"content-length", str(length).encode())]
        headers.extend((name.encode(), value.encode()) for name, value in answer.headers)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def before(self, fault: Fault, scope: ASGIScope, receive: Receive) -> Reply | None:
        """What a fault answers instead of the handler; None to go on, status 0 where the connection was cut."""
        extra = (("retry-after", fault.retry_after),) if fault.retry_after else ()
        if fault.kind is FaultKind.STATUS or fault.kind is FaultKind.BODY:
            return Reply(fault.status, fault.body.encode(), fault.content_type, extra)
        if fault.kind is FaultKind.HTML:
            return Reply(fault.status, PAGE, HTML_TYPE, extra)
        if fault.kind is FaultKind.DELAY:
            await asyncio.sleep(fault.delay)
            return None
        if fault.kind is FaultKind.HANG:
            await asyncio.sleep(fault.delay)
        if fault.kind is FaultKind.SILENT:
            await self._hung_up(receive)
            return NO_ANSWER
        if fault.kind in {FaultKind.CUT_BEFORE, FaultKind.HANG}:
            await self._cut(scope, receive)
            return NO_ANSWER
        return None

    async def after(self, fault: Fault, answer: Reply, scope: ASGIScope, receive: Receive, send: Send) -> int:
        """Deliver the answer of a request that was applied, as the fault says."""
        if fault.kind is FaultKind.CUT_AFTER:
            await self._cut(scope, receive)
            return 0
        if fault.kind is FaultKind.ANSWER:
            return await self.deliver(Reply(fault.status, fault.body.encode(), fault.content_type), scope, send)
        if fault.kind is FaultKind.TRUNCATED:
            await self._start(answer, len(answer.body), send)
            await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
            await self._cut(scope, receive, flush=True)
            return 0
        if fault.kind is FaultKind.SLOW:
            return await self._slowly(fault, answer, send)
        return await self._oversized(fault, answer, send)

    async def _slowly(self, fault: Fault, answer: Reply, send: Send) -> int:
        await self._start(answer, len(answer.body), send)
        for at in range(len(answer.body)):
            await asyncio.sleep(1 / fault.bytes_per_second)
            await send({"type": "http.response.body", "body": answer.body[at : at + 1], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return answer.status

    async def _oversized(self, fault: Fault, answer: Reply, send: Send) -> int:
        length = max(fault.size, len(answer.body))
        await self._start(answer, length, send)
        blanks = b" " * 65_536
        left = length - len(answer.body)
        while left > 0:
            piece = blanks[: min(left, len(blanks))]
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": answer.body})
        return answer.status

    async def _cut(self, scope: ASGIScope, receive: Receive, *, flush: bool = False) -> None:
        """Close the connection and wait until the server has seen it, so that it answers nothing."""
        self._connections.cut(tuple(scope["client"]), flush=flush)
        await self._hung_up(receive)

    async def _hung_up(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
