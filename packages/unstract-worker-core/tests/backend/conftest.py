"""A scripted backend on loopback: real sockets, real threads, answers by order; and a client for it."""

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import stamina
from attrs import define, evolve, field, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import BackendSettings, Secret

KEY = "canary-internal-key-5d1f"


@frozen
class Received:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Listener"

    def setup(self) -> None:
        super().setup()
        self.server.script.connections += 1

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with suppress(OSError):  # the client may hang up in the middle of an answer
            self.server.script.take(Received(self.command, path, query, headers, body))(self)

    do_GET = do_POST = do_PUT = handle_any  # noqa: N815 - the names that http.server looks for

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    def log_message(self, *args: object) -> None:
        """Quiet."""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    script: "Server"

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: clients hang up, and refuse certificates."""


@define
class Server:
    """What the backend answers, and what it was sent."""

    port: int = 0
    received: list[Received] = field(factory=list)
    connections: int = 0
    stopping: threading.Event = field(factory=threading.Event)
    listener: Listener | None = None
    _replies: list[Reply] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/internal"

    @property
    def last(self) -> Received:
        return self.received[-1]

    def answer(self, *replies: Reply) -> None:
        """Answers in order; the last one for ever."""
        self._replies = list(replies)

    def take(self, received: Received) -> Reply:
        with self._lock:
            self.received.append(received)
            return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    def wrap(self, context: ssl.SSLContext) -> None:
        """From now on TLS; the handshake is made by the connection's own thread."""
        self.listener.socket = context.wrap_socket(
            self.listener.socket, server_side=True, do_handshake_on_connect=False
        )

    # --- answers

    def sends(self, value: object, status: int = 200, **headers: str) -> Reply:
        return self.raw(json.dumps(value).encode(), status, content_type="application/json", **headers)

    def raw(self, body: bytes, status: int = 200, **headers: str) -> Reply:
        def reply(handler: Handler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name.replace("_", "-"), value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        return reply

    def html(self, status: int = 200) -> Reply:
        return self.raw(b"<!doctype html><html>SECRET-BODY</html>", status, content_type="text/html; charset=utf-8")

    def status(self, status: int, **headers: str) -> Reply:
        return self.sends({"error": "told so"}, status, **headers)

    def cut(self) -> Reply:
        """Take the request, hang up without a word."""

        def reply(handler: Handler) -> None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

        return reply

    def truncated(self) -> Reply:
        def reply(handler: Handler) -> None:
            handler.close_connection = True
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

        return reply

    def drip(self, head: bytes, piece: bytes, pause: float = 0.02) -> Reply:
        """`head`, then `piece` now and then, for as long as somebody listens."""

        def reply(handler: Handler) -> None:
            handler.close_connection = True
            handler.wfile.write(head)
            while not self.stopping.wait(pause):
                handler.wfile.write(piece)

        return reply

    def flood(self, encoding: str | None = None, megabytes: int = 200) -> Reply:
        """A body much larger than anybody wants; as gzip it is small on the wire."""
        block = b" " * 2**20
        payload = gzip.compress(block * megabytes) if encoding == "gzip" else b""

        def reply(handler: Handler) -> None:
            handler.close_connection = True
            kind = b"Content-Encoding: gzip\r\n" if encoding else b""
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + kind + b"\r\n")
            if payload:
                handler.wfile.write(payload)
            else:
                for _ in range(megabytes):
                    handler.wfile.write(block)

        return reply


@define
class Clock:
    """A clock that a test advances."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Server]:
    script = Server()
    listener = Listener(("127.0.0.1", 0), Handler)
    listener.script = script
    script.listener = listener
    script.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield script
    script.stopping.set()
    listener.shutdown()
    listener.server_close()
    thread.join(5)


@pytest.fixture
def settings(server: Server) -> BackendSettings:
    return BackendSettings(
        base_url=server.url,
        api_key=Secret(KEY),
        timeout=5.0,
        total_timeout=60.0,
        retry_attempts=3,
        retry_backoff=0.01,
        max_body_bytes=2**20,
        breaker_threshold=50,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backend_with(settings: BackendSettings) -> Iterator[Callable[..., Backend]]:
    """Makes a client with some settings changed; closed at the end."""
    made: list[Backend] = []

    def make(*args: object, clock: Clock | None = None, breaker_wait: float | None = None, **changes: Any) -> Backend:
        timing = {"clock": clock, "breaker_wait": breaker_wait}
        timing = {name: value for name, value in timing.items() if value is not None}
        made.append(Backend(evolve(settings, **changes), *args, version="9.9", **timing))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def backend(backend_with: Callable[..., Backend]) -> Backend:
    return backend_with()


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """The retries are as many as configured; only the pauses between them are left out."""
    with stamina.set_testing(True, attempts=1000, cap=True):
        yield


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port without a listener for the whole test."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
