"""The HTTP endpoint of a worker: /health, /health/live, /health/ready and /metrics; and the checks that they ask.

The listener serves GET and HEAD from a few threads, with limits to what a hostile client can cost: a connection beyond
the limit is closed at once, one that lives too long is cut.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from errno import EADDRNOTAVAIL
from http import HTTPStatus
from http.client import LineTooLong
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BufferedIOBase
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs import get_logger

if TYPE_CHECKING:
    from unstract_worker_core.observability.metrics import Metrics


@frozen
class CheckResult:
    """Outcome of a check. One that is not `critical` is shown but never makes the worker unready.

    `detail` is shown to everyone who can reach the port: no ids, no secrets, no addresses.
    """

    name: str
    ok: bool
    detail: str = ""
    critical: bool = True


Check = Callable[[], CheckResult]


class Checks:
    """Runs checks, one round at a time and at most one a second, however many ask."""

    def __init__(self, checks: Iterable[tuple[str, Check]]) -> None:
        self._checks = tuple(checks)
        self._lock = threading.Lock()
        self._latest: tuple[CheckResult, ...] = ()
        self._at = 0.0

    def results(self) -> tuple[CheckResult, ...]:
        """The outcomes: of a new round, or the last one where it is fresh or another round is running."""
        if not self._lock.acquire(blocking=not self._latest, timeout=-1 if self._latest else 10.0):
            return self._latest or (CheckResult("checks", False, "still running"),)
        try:
            if not self._latest or time.monotonic() - self._at > 1.0:
                self._latest = tuple(_run(name, check) for name, check in self._checks)
                self._at = time.monotonic()
            return self._latest
        finally:
            self._lock.release()


def _run(name: str, check: Check) -> CheckResult:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - boundary: a check that breaks is a failed check
        get_logger(__name__).warning("health check failed", check=name, exc_info=True)
        return CheckResult(name, False, f"failed ({type(error).__name__})")


@frozen
class Answer:
    """What a path is answered with."""

    status: HTTPStatus
    content_type: str
    body: bytes


@frozen
class ListenerLimits:
    """What clients may cost; `life_seconds`: of a connection."""

    threads: int = 4
    connections: int = 32
    request_bytes: int = 8 * 1024
    silence_seconds: float = 5.0
    life_seconds: float = 15.0


_LIMITS = ListenerLimits()


class HealthServer:
    """Serves health and metrics from daemon threads between `start()` and `stop()`.

    Args:
        port: 0 takes a free one, which `port` gives after the start.
        alive: the check behind /health/live; it must not ask the network.
        checks: what /health/ready asks, by name; /health asks all.
        variable: the variable to name when the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        worker: str,
        version: str,
        alive: Check,
        checks: tuple[tuple[str, Check], ...],
        metrics: "Metrics",
        variable: str,
        limits: ListenerLimits = _LIMITS,
    ) -> None:
        self._address, self._variable, self._limits = (host, port), variable, limits
        self._about = {"worker": worker, "version": version}
        self._alive, self._ready = Checks((("progress", alive),)), Checks(checks)
        self._metrics = metrics
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.server_port if self._listener else self._address[1]

    def start(self) -> None:
        """Listen. Raises ConfigurationError where the address cannot be had."""
        try:
            self._listener = Listener(self._address, self.answer, self._limits)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            not_ours = isinstance(error, socket.gaierror) or error.errno == EADDRNOTAVAIL
            variable = "WORKER_HEALTH_HOST" if not_ours else self._variable
            raise ConfigurationError((Fault(variable, f"cannot be listened on: {reason}"),)) from None
        threading.Thread(target=self._listener.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close what is open. May be called more than once."""
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def answer(self, path: str) -> Answer:
        """The answer to a path."""
        match path:
            case "/health":
                return self._reported(self._alive.results() + self._ready.results())
            case "/health/live":
                return self._reported(self._alive.results())
            case "/health/ready":
                return self._reported(self._ready.results())
            case "/metrics":
                return Answer(HTTPStatus.OK, self._metrics.content_type, self._metrics.render())
        return Answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def _reported(self, results: tuple[CheckResult, ...]) -> Answer:
        ok = all(result.ok for result in results if result.critical)
        degraded = ok and not all(result.ok for result in results)
        checks = {result.name: {"ok": result.ok, "detail": result.detail} for result in results}
        body = {**self._about, "status": "degraded" if degraded else "ok" if ok else "failed", "checks": checks}
        status = HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, "application/json", json.dumps(body).encode() + b"\n")


class Listener(HTTPServer):
    """Listens from the start of `serve_forever()`; `answer` is called with the path, without its query."""

    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answer: Callable[[str], Answer], limits: ListenerLimits) -> None:
        self.answer, self.limits = answer, limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="health")
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        family, *_ = socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        self.address_family = family
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind the port; the address `::` takes IPv4 as well where the host can do both."""
        if self.address_family == socket.AF_INET6 and socket.has_dualstack_ipv6():
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Hand a connection to a thread, or close it where too many are open."""
        with self._lock:
            full = len(self._open) >= self.limits.connections
            if not full:
                self._open[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
        else:
            self._threads.submit(self._serve, request, client_address)

    def service_actions(self) -> None:
        """Cut connections that live too long: a client that sends a byte now and then holds no thread."""
        oldest = time.monotonic() - self.limits.life_seconds
        with self._lock:
            for request in [one for one, since in self._open.items() if since < oldest]:
                _cut(request)

    def server_close(self) -> None:
        """Close the port and every connection."""
        super().server_close()
        with self._lock:
            for request in self._open:
                _cut(request)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a failed connection for debugging only: clients go away and misbehave."""
        get_logger(__name__).debug("health connection failed", exc_info=True)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - boundary: one connection must never cost a thread
            self.handle_error(request, client_address)
        finally:
            with self._lock:
                self._open.pop(request, None)
            self.shutdown_request(request)


def _cut(request: socket.socket) -> None:
    with suppress(OSError):  # gone already
        request.shutdown(socket.SHUT_RDWR)


class _Bounded:
    """Lines of a request, up to a number of bytes for all of them."""

    def __init__(self, source: BufferedIOBase, limit: int) -> None:
        self._source, self._left = source, limit

    def readline(self, size: int) -> bytes:
        line = self._source.readline(min(size, self._left + 1))
        self._left -= len(line)
        if self._left < 0:
            raise LineTooLong("request")
        return line

    def close(self) -> None:
        self._source.close()


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "unstract-worker", ""
    error_message_format, error_content_type = "%(code)d\n", "text/plain"

    def setup(self) -> None:
        limits = cast("Listener", self.server).limits
        self.request.settimeout(limits.silence_seconds)
        super().setup()
        self.rfile = cast("Any", _Bounded(self.rfile, limits.request_bytes))

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        if self.command in ("GET", "HEAD"):
            return True
        self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        return False

    def do_GET(self) -> None:
        answer = cast("Listener", self.server).answer(self.path.partition("?")[0])
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815 - the name is the standard library's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Probes are not logged."""
