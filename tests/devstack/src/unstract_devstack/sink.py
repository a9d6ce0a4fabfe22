"""A webhook receiver on loopback: records what arrives, answers as it is set to."""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from unstract_devstack.asgi_server import serving
from unstract_devstack.processes import wait_until

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1024 * 1024
RESET = struct.pack("ii", 1, 0)


@frozen
class Delivery:
    """One request as it arrived. `at` is seconds since the epoch; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float


@frozen
class Answer:
    """How the sink treats a request.

    Attributes:
        status: what it answers.
        delay: seconds before it answers.
        hang: never answer (until the sink stops).
        reset: cut the connection with a TCP reset instead of an answer.
        headers: further response headers.
        body: the response body.
    """

    status: int = 200
    delay: float = 0.0
    hang: bool = False
    reset: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@define
class SinkHandle:
    """A running sink. `answer` is how it treats requests; `answer_next` puts other treatment before that."""

    url: str = ""
    answer: Answer = field(factory=Answer)
    connections: Collection[Any] = ()
    _deliveries: list[Delivery] = field(factory=list, init=False)
    _next: deque[Answer] = field(factory=deque, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _released: threading.Event = field(factory=threading.Event, init=False, repr=False)

    def release(self) -> None:
        """Answer the requests that hang, and hang no more."""
        self._released.set()

    def received(self) -> list[Delivery]:
        """Everything that arrived, in order, whatever was answered."""
        with self._lock:
            return list(self._deliveries)

    def answer_next(self, *answers: Answer) -> None:
        """The next requests get these answers, in order."""
        with self._lock:
            self._next.extend(answers)

    def wait_for(self, count: int, *, seconds: float) -> list[Delivery]:
        """What arrived, once `count` requests did or `seconds` have passed."""
        wait_until(lambda: len(self.received()) >= count, seconds=seconds)
        return self.received()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record one request and answer it."""
        request = Request(scope, receive)
        body = (await request.body())[:MAX_BODY_BYTES]
        target = b"?".join(filter(None, (scope["raw_path"], scope["query_string"]))).decode("latin-1")
        delivery = Delivery(request.method, target, dict(request.headers), body, time.time())
        with self._lock:
            self._deliveries.append(delivery)
            answer = self._next.popleft() if self._next else self.answer
        if answer.hang:
            await self._hang(receive)
        elif answer.delay:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(_hung_up(receive), answer.delay)
        if answer.reset:
            self._reset(scope)
        elif not answer.hang or self._released.is_set():
            response = Response(answer.body, answer.status)
            response.raw_headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers]
            await response(scope, receive, send)

    async def _hang(self, receive: Receive) -> None:
        hung_up = asyncio.ensure_future(_hung_up(receive))
        while not (hung_up.done() or self._released.is_set()):
            await asyncio.wait([hung_up], timeout=0.05)
        hung_up.cancel()

    def _reset(self, scope: Scope) -> None:
        """Lingering for zero seconds makes a close send a reset; the server would shut down politely first."""
        for transport in [each.transport for each in self.connections if each.client == scope["client"]]:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def running_sink() -> Iterator[SinkHandle]:
    """A sink on a free loopback port, until the block is left."""
    handle = SinkHandle()
    with serving(handle, host=HOST, timeout_graceful_shutdown=0.1) as served:
        handle.url, handle.connections = f"http://{HOST}:{served.port}", served.connections
        yield handle
