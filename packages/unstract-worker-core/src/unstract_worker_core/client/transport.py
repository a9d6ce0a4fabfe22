"""HTTP on the wire: the one module that speaks it.

It sends one request and reads one answer, within a time and a size. It never follows a redirect, never reads
proxy variables or .netrc, keeps no cookies and never decompresses. What went wrong is told by whether the
request may have reached the other side (`Interrupted`) or certainly has not (`NotSent`).

Answers are read by the standard library's http.client: a call costs it about a third of the processor time that it
costs httpx, and calls are most of what a worker does. Sockets and their deadlines are ours (`deadlines`).
"""

import os
import ssl
import threading
import weakref
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from http.client import HTTPResponse

from unstract_worker_core.client.connection import Connection
from unstract_worker_core.client.exchanges import (
    AnswerRefused,
    PostAnswer,
    RawAnswer,
    Wanted,
)

_CONNECT_SECONDS = 10.0
_SMALL_READ = 4096
_READ = 64 * 1024


@cache
def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The certificates that are trusted: the well-known ones, and those in `ca_file`. Raises OSError."""
    import certifi  # only where TLS is spoken

    context = ssl.create_default_context(cafile=certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


class Transport:
    """Sends requests: a connection for each thread that calls, all with one TLS context."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._local = threading.local()
        self._lock = threading.Lock()
        self._clients: weakref.WeakSet[Connection] = weakref.WeakSet()

    def exchange(self, wanted: Wanted) -> RawAnswer:
        """Send, and read the answer whole. Raises NotSent, Interrupted or AnswerRefused."""
        connection = self._connection()
        with connection.answer_to(wanted) as answer:
            if answer.getheader("content-encoding", "identity").lower() != "identity":
                raise AnswerRefused("the answer is compressed, unasked", status=answer.status)
            body = _read(answer, wanted.body_limit)
            content_type = answer.getheader("content-type", "")
            retry_after, date = answer.getheader("retry-after"), answer.getheader("date")
            return RawAnswer(answer.status, content_type, retry_after, body, date)

    @property
    def open_clients(self) -> int:
        """How many threads hold a connection."""
        return len(self._clients)

    def close(self) -> None:
        """Close every thread's connection. A later call opens a new one."""
        with self._lock:
            clients = list(self._clients)
            self._clients.clear()
        self._local = threading.local()
        for client in clients:
            client.close()

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        # A forked child must not write into its parent's connection.
        if connection is None or connection.pid != os.getpid():
            connection = Connection(self._tls, connect_seconds=_CONNECT_SECONDS)
            self._local.connection = connection
            with self._lock:
                self._clients.add(connection)
        return connection


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
    connection = Connection(tls, connect_seconds=connect_seconds, address=address, read_size=_SMALL_READ)
    with closing(connection), connection.answer_to(wanted) as answer:
        seen = 0
        while seen < body_limit and (chunk := answer.read(_SMALL_READ)):
            seen += len(chunk)
        return PostAnswer(answer.status)


def _read(answer: HTTPResponse, limit: int) -> bytes:
    if answer.length is not None and answer.length <= limit:
        return answer.read()
    body = bytearray()
    while chunk := answer.read(_READ):
        body += chunk
        if len(body) > limit:
            raise AnswerRefused(f"the answer is larger than {limit} bytes", status=answer.status)
    return bytes(body)
