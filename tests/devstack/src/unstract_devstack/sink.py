"""A webhook receiver on loopback: records what arrives, answers as told."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from attrs import define, field, frozen

from unstract_devstack.processes import wait_until

MAX_BODY_BYTES = 1024 * 1024


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

    url: str
    answer: Answer = field(factory=Answer)
    _deliveries: list[Delivery] = field(factory=list, init=False)
    _next: deque[Answer] = field(factory=deque, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)
    _stopping: threading.Event = field(factory=threading.Event, init=False, repr=False)

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

    def record(self, delivery: Delivery) -> Answer:
        """Keeps a request and says how to treat it. For the sink's own server."""
        with self._lock:
            self._deliveries.append(delivery)
            return self._next.popleft() if self._next else self.answer

    def pause(self, seconds: float | None) -> None:
        """Waits for `seconds` (None: for ever), but no longer than the sink runs."""
        self._stopping.wait(seconds)

    def release(self) -> None:
        """Ends every pause: the sink stops."""
        self._stopping.set()


@contextlib.contextmanager
def running_sink() -> Iterator[SinkHandle]:
    """A sink on a free loopback port, until the block is left."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.handle
    finally:
        server.handle.release()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.handle = SinkHandle(f"http://127.0.0.1:{self.server_address[1]}")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length") or 0), MAX_BODY_BYTES)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(length)
        handle = self.server.handle
        answer = handle.record(Delivery(self.command, self.path, headers, body, time.time()))
        if answer.hang or answer.delay:
            handle.pause(None if answer.hang else answer.delay)
        if answer.hang or answer.reset:
            self._cut(with_reset=answer.reset)
        else:
            self._answer(answer)

    do_PUT = do_POST  # noqa: N815 - the names are the base class's
    do_GET = do_POST  # noqa: N815 - the same

    def _answer(self, answer: Answer) -> None:
        # The caller may have given up while the sink was waiting.
        with contextlib.suppress(OSError):
            self.send_response(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

    def _cut(self, *, with_reset: bool) -> None:
        self.close_connection = True
        if with_reset:
            # Lingering for zero seconds makes close() send a reset; the server would shut down politely first.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on standard error: the deliveries are the log."""
