"""HTTP on the wire: the one module that imports httpx.

It sends one request and reads one answer, within a time and a size. It never follows a redirect, never reads
proxy variables or .netrc, keeps no cookies and never decompresses. What went wrong is told by whether the
request may have reached the other side (`Interrupted`) or certainly has not (`NotSent`).
"""

import os
import ssl
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache

import httpcore
import httpx

from unstract_worker_core.client.deadlines import Deadline, DeadlineBackend
from unstract_worker_core.client.exchanges import (
    AnswerRefused,
    Interrupted,
    NotSent,
    PostAnswer,
    RawAnswer,
    Wanted,
)

_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 5.0
_SMALL_READ = 4096
_NOT_SENT = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.LocalProtocolError,
    httpcore.PoolTimeout,
    httpcore.UnsupportedProtocol,
)
_TIMED_OUT = (httpcore.ReadTimeout, httpcore.WriteTimeout)
# Redirects are not followed and cookies not kept: neither is let in as far as httpx.
_UNWANTED = (b"location", b"set-cookie")
_CUT = (httpcore.NetworkError, httpcore.ProtocolError)


@cache
def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The certificates that are trusted: the well-known ones, and those in `ca_file`. Raises OSError."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Transport:
    """Sends requests: an httpx.Client for each thread that calls, all with one TLS context."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: weakref.WeakSet[_ThreadClient] = weakref.WeakSet()

    def exchange(self, wanted: Wanted) -> RawAnswer:
        """Send, and read the answer whole. Raises NotSent, Interrupted or AnswerRefused."""
        with _translated(), closing(self._client().send(wanted)) as response:
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                raise AnswerRefused("the answer is compressed, unasked", status=response.status_code)
            body = bytearray()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > wanted.body_limit:
                    reason = f"the answer is larger than {wanted.body_limit} bytes"
                    raise AnswerRefused(reason, status=response.status_code)
            content_type = response.headers.get("content-type", "")
            retry_after = response.headers.get("retry-after")
            date = response.headers.get("date")
            return RawAnswer(response.status_code, content_type, retry_after, bytes(body), date)

    @property
    def open_clients(self) -> int:
        """How many threads hold a client."""
        return len(self._clients)

    def close(self) -> None:
        """Close every thread's client. A later call opens a new one."""
        with self._lock:
            clients = list(self._clients)
            self._clients.clear()
        self._local = threading.local()
        for client in clients:
            client.close()

    def _client(self) -> "_ThreadClient":
        client: _ThreadClient | None = getattr(self._local, "client", None)
        # A forked child must not write into its parent's connection.
        if client is None or client.pid != os.getpid():
            client = _ThreadClient(self._tls)
            self._local.client = client
            with self._lock:
                self._clients.add(client)
        return client


def post_once(
    url: str,
    content: bytes,
    headers: Mapping[str, str],
    *,
    timeout_seconds: float,
    connect_seconds: float = _CONNECT_SECONDS,
    body_limit: int = 16 * 1024,
    address: str | None = None,
    ca_file: str | None = None,
) -> PostAnswer:
    """POST to anywhere, once, on a connection of its own; `timeout_seconds` bounds all of it.

    With `address` (an IP that the caller has checked) the connection goes there, while Host and the
    certificate's name stay those of `url`: no second look-up that could answer differently. Of the answer's
    body fewer than `body_limit` + 4096 bytes are read. Raises NotSent or Interrupted, OSError for the `ca_file`.
    """
    polite = {**headers, "Accept-Encoding": "identity", "Connection": "close"}
    wanted = Wanted("POST", url, polite, timeout_seconds, body_limit, content=content)
    tls = tls_context(ca_file) if url.lower().startswith("https:") else None
    with (
        closing(_ThreadClient(tls, address, connect_seconds, _SMALL_READ)) as client,
        _translated(),
        closing(client.send(wanted)) as response,
    ):
        seen = 0
        for chunk in response.iter_raw():
            seen += len(chunk)
            if seen >= body_limit:
                break
        return PostAnswer(response.status_code)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _NOT_SENT as error:
        raise NotSent(_reason(error)) from None
    except _TIMED_OUT as error:
        raise Interrupted(_reason(error), timed_out=True) from None
    except _CUT as error:
        raise Interrupted(_reason(error), timed_out=False) from None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _ThreadClient:
    def __init__(
        self,
        tls: ssl.SSLContext | None,
        address: str | None = None,
        connect_seconds: float = _CONNECT_SECONDS,
        read_size: int | None = None,
    ) -> None:
        self.pid = os.getpid()
        self._deadline = Deadline()
        self._connect_seconds = connect_seconds
        self._client = httpx.Client(
            transport=_Wire(tls, DeadlineBackend(self._deadline, address, read_size)),
            trust_env=False,
            follow_redirects=False,
        )

    def send(self, wanted: Wanted) -> httpx.Response:
        seconds = wanted.seconds
        try:
            request = self._client.build_request(
                wanted.method,
                wanted.url,
                params=wanted.query or None,
                content=wanted.content,
                headers=wanted.headers,
                timeout=httpx.Timeout(seconds, connect=min(seconds, self._connect_seconds)),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise NotSent(f"not a request that can be sent ({type(error).__name__})") from None
        self._deadline.start(wanted.seconds)
        # The auth that does nothing, named: httpx would turn credentials in the URL into an Authorization
        # header.
        return self._client.send(request, stream=True, auth=httpx.Auth())

    def close(self) -> None:
        self._client.close()


class _Wire(httpx.BaseTransport):
    """httpx's own transport, with sockets that know the deadline (it offers no way to pass them in)."""

    def __init__(self, tls: ssl.SSLContext | None, backend: DeadlineBackend) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls, max_connections=1, keepalive_expiry=_IDLE_SECONDS, network_backend=backend
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        headers = [pair for pair in answer.headers if pair[0].lower() not in _UNWANTED]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()
