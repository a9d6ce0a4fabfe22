"""HTTP for the backend and for webhooks: httpx's requests and responses over one connection a thread.

This is the one module that imports httpx and httpcore, httpx's engine. httpx's last release is of 2024-12; its
maintained successor httpx2 (with httpcore2) has the same interfaces: to change over, change the two import lines.

httpx's timeouts are per read, so a peer that sends single bytes slowly never times out. Here an httpcore network
backend gives each connect, TLS handshake, read and write what is left of one budget for the whole exchange. Requests go
straight to the transport, not through `httpx.Client`: no redirects, no proxy variables, no .netrc, no cookies, and no
time spent on looking for them.

Errors differ by whether the other side may have seen the request: `ConnectFailed` (no byte of it was given
to the network) or `ResponseLost` (some was).
"""

import errno
import math
import os
import select
import socket
import ssl
import threading
import weakref
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import httpcore
import httpx
from attrs import evolve

from unstract_worker_core.backend.exchange import (
    ConnectFailed,
    Dialer,
    Exchange,
    Limits,
    PostResult,
    ResponseLost,
    ResponseRefused,
    system_reason,
    tls_context,
)

BaseTransport = httpx.BaseTransport
Request = httpx.Request
Response = httpx.Response

# gunicorn closes a connection that was idle for 2 s, its default.
_IDLE_SECONDS = 1.5
_READ_BYTES = 16 * 1024
_WRITE_BYTES = 64 * 1024
_ERRORS = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def make_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    *,
    query: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Request:
    """A request. Raises ConnectFailed for a URL or a header that cannot be sent."""
    try:
        # One text: httpx would parse a URL that gets `params=` twice.
        target = _url(f"{url}?{urlencode(query, quote_via=quote)}" if query else url)
        # With `content=`, httpx adds these two itself, but copies and searches all headers again: four times the work.
        fields = [(b"Host", target.netloc)]
        fields += [(name.encode("ascii"), value.strip(" \t").encode("latin-1")) for name, value in headers.items()]
        if method != "GET":
            fields.append((b"Content-Length", b"%d" % len(body or b"")))
        request = Request(method, target, headers=fields, stream=httpx.ByteStream(body or b""))
    except (httpx.InvalidURL, ValueError) as error:
        raise ConnectFailed(f"not a request that can be sent ({type(error).__name__})") from None
    if request.url.scheme not in ("http", "https") or not request.url.host:
        raise ConnectFailed("not an http or https URL")
    return request


@lru_cache(maxsize=1024)  # many URLs come again, and parsing one takes as long as all else of a request
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def send(transport: BaseTransport, request: Request, limits: Limits) -> Response:
    """Send a request and read its response whole.

    Args:
        transport: a ThreadTransport, or a double of it such as httpx.MockTransport.
        request: may be sent again.
        limits: for this exchange.

    Raises:
        ConnectFailed, ResponseLost, ResponseRefused.
    """
    request.extensions = {"limits": limits}
    response = transport.handle_request(request)
    response.read()
    return response


def post_once(
    url: str,
    content: bytes,
    headers: Mapping[str, str],
    limits: Limits,
    *,
    body_limit: int = 16 * 1024,
    address: str | None = None,
    ca_file: str | None = None,
) -> PostResult:
    """POST once, to any host, on a new connection.

    Args:
        url: Host header and certificate name are its host, wherever the connection goes.
        content: the body.
        headers: those of the caller; what belongs to the connection is added.
        limits: for this exchange.
        body_limit: no more bytes of the response's body are waited for.
        address: connect to this IP address, which the caller has checked, without another look-up.
        ca_file: trusted besides the well-known certificates.

    Raises:
        ConnectFailed, ResponseLost; OSError for the `ca_file`.
    """
    request = make_request("POST", url, {**headers, "Accept-Encoding": "identity", "Connection": "close"}, body=content)
    request.extensions = {"limits": evolve(limits, body=body_limit - 1)}
    tls = tls_context(ca_file) if request.url.scheme == "https" else None
    with closing(ThreadTransport(tls, address=address)) as transport:
        head, _ = transport.exchange(request)
    return PostResult(head.status, httpx.Headers(head.headers).get("retry-after"))


class ThreadTransport(httpx.BaseTransport):
    """Keeps one connection for each thread that calls, all with one TLS context."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, address: str | None = None) -> None:
        """`tls`: needed for https. `address`: connect to it instead of the URL's host."""
        self._tls = tls
        self._dialer = Dialer(address)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()

    def handle_request(self, request: Request) -> Response:
        """Send a request and read its response whole. Raises ConnectFailed, ResponseLost, ResponseRefused."""
        head, body = self.exchange(request)
        limit = request.extensions["limits"].body
        if any(name.lower() == b"content-encoding" and value.lower() != b"identity" for name, value in head.headers):
            raise ResponseRefused("the response is compressed, unasked", status=head.status)
        if limit is not None and len(body) > limit:
            raise ResponseRefused(f"the response is larger than {limit} bytes", status=head.status)
        return Response(head.status, headers=head.headers, content=body, request=request)

    def exchange(self, request: Request) -> tuple[httpcore.Response, bytes]:
        """Send a request and read its response: the head, and the raw body as far as its limit.

        Raises ConnectFailed, ResponseLost.
        """
        url, limits = request.url, request.extensions["limits"]
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = httpcore.Request(request.method, target, headers=request.headers.raw, content=request.stream)
        return self._connection(target.origin, fresh=limits.fresh).exchange(sent, limits)

    def close(self) -> None:
        """Close every thread's connection; a later request opens a new one."""
        with self._lock:
            connections = list(self._connections)
            self._connections.clear()
        self._local = threading.local()
        for connection in connections:
            connection.close()

    def _connection(self, origin: httpcore.Origin, *, fresh: bool) -> "_Connection":
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is not None and not fresh and connection.usable(origin):
            return connection
        if connection is not None:
            connection.close()
        connection = self._local.connection = _Connection(origin, self._tls, self._dialer)
        with self._lock:
            self._connections.add(connection)
        return connection


class _Connection:
    """One connection to one origin, for one thread of one process."""

    def __init__(self, origin: httpcore.Origin, tls: ssl.SSLContext | None, dialer: Dialer) -> None:
        self._pid = os.getpid()
        self._origin = origin
        self._network = _Network(dialer)
        self._core = httpcore.HTTPConnection(
            origin, ssl_context=tls, keepalive_expiry=_IDLE_SECONDS, network_backend=self._network
        )

    def usable(self, origin: httpcore.Origin) -> bool:
        """Whether it can carry another request: idle, not for long, not closed, and nothing came meanwhile."""
        ours = self._pid == os.getpid() and self._origin == origin
        return ours and self._core.is_available() and not self._core.has_expired()

    def exchange(self, request: httpcore.Request, limits: Limits) -> tuple[httpcore.Response, bytes]:
        """Send a request and read its response until its body ends or is beyond its limit."""
        exchange = self._network.exchange = Exchange.start(limits, reused=self._core.is_available())
        try:
            with closing(self._core.handle_request(request)) as response:  # one that has more to read closes the socket
                if not exchange.reads:  # the server sent more than one response to the request before
                    raise httpcore.RemoteProtocolError
                return response, _read(response, limits.body)
        except _ERRORS as error:
            self.close()
            raise _failure(exchange, error) from None

    def close(self) -> None:
        """Close the socket. One that a fork brought along stays open: it is the parent's."""
        if self._pid == os.getpid():
            self._core.close()


def _read(response: httpcore.Response, limit: int | None) -> bytes:
    parts: list[bytes] = []
    size, most = 0, math.inf if limit is None else limit
    coming = response.iter_stream()
    while size <= most and (part := next(coming, None)) is not None:
        parts.append(part)
        size += len(part)
    return b"".join(parts)


class _Network(httpcore.NetworkBackend):
    """Opens the socket of one connection; `exchange` is the one that is under way on it."""

    exchange: Exchange

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> "_Stream":
        limit = self.exchange.limits.connect_seconds
        try:
            return _Stream(self._dialer.connect(host, port, self.exchange.seconds_left(limit)), self)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError from error


class _Stream(httpcore.NetworkStream):
    """A socket whose every wait ends with the time of the exchange that is under way."""

    def __init__(self, sock: socket.socket, network: _Network) -> None:
        self._socket, self._network, self._timeout = sock, network, sock.gettimeout()
        self._unsent: list[bytes] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = self._network.exchange
        try:
            self._send_all()
            while True:
                self._wait_at_most(exchange.next_wait(reading=True))
                try:
                    content = self._socket.recv(min(max_bytes, _READ_BYTES))
                except TimeoutError as error:
                    if error.errno == errno.ETIMEDOUT:  # the kernel found the other side gone
                        raise httpcore.ReadError from error
                    exchange.note_silence()
                else:
                    if content:
                        exchange.note_received()
                    return content
        except TimeoutError as error:
            raise httpcore.ReadTimeout from error
        except OSError as error:
            raise httpcore.ReadError from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep it until the request is whole: head and body go out together."""
        self._unsent.append(buffer)

    def _send_all(self) -> None:
        exchange, rest = self._network.exchange, memoryview(b"".join(self._unsent))
        self._unsent.clear()
        while rest:
            self._wait_at_most(exchange.next_wait(reading=False))
            try:
                sent = self._socket.send(rest[:_WRITE_BYTES])
            except TimeoutError as error:
                if error.errno == errno.ETIMEDOUT:
                    raise httpcore.WriteError from error
            except OSError:
                return  # it may have answered before it closed, as proxies do that find a request too large
            else:
                exchange.sent += sent
                rest = rest[sent:]

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        exchange = self._network.exchange
        try:
            self._socket.settimeout(exchange.seconds_left(exchange.limits.connect_seconds))
            return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname), self._network)
        except (OSError, ValueError) as error:  # ValueError: a name that no certificate can have
            self._socket.close()
            raise (httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError) from error

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked before a connection is used again: something came, or it is over
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            return bool(waiting.poll(0))
        return self._socket if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket) else None

    def _wait_at_most(self, seconds: float) -> None:
        if seconds != self._timeout:  # setting it is a call of the system
            self._socket.settimeout(seconds)
            self._timeout = seconds


def _failure(exchange: Exchange, error: Exception) -> ConnectFailed | ResponseLost:
    reason = _reason(error)
    if not exchange.sent:
        return ConnectFailed(reason)
    timed_out = isinstance(error, httpcore.TimeoutException)
    return ResponseLost(reason, timed_out=timed_out, stale=exchange.reused and not exchange.reads and not timed_out)


def _reason(error: Exception) -> str:
    """Why there is no response. Nothing that the other side sent, and no address."""
    cause = error.__cause__
    if isinstance(error, httpcore.ConnectTimeout):
        return "not connected in time"
    if isinstance(error, httpcore.TimeoutException):
        return str(cause)
    if isinstance(error, httpcore.LocalProtocolError):
        return "not a request that can be sent"
    if isinstance(cause, OSError):
        return system_reason(cause)
    closed = "closed" in str(error) or "disconnected" in str(error)
    return "the connection was closed before the response was whole" if closed else "the response is not HTTP"
