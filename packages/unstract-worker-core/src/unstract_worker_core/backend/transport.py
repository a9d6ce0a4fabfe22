"""HTTP on the wire: the one module that speaks it.

It sends one request and reads one answer, within a time and a size. It never follows a redirect, never reads
proxy variables or .netrc, keeps no cookies and never decompresses. What went wrong is told by whether the
request may have reached the other side (`Interrupted`) or certainly has not (`NotSent`).

Requests are written, sockets opened and their deadlines kept here and in `deadlines`; answers are parsed by llhttp
(`incoming`). Calls are most of what a worker does, and httpx takes many times the processor time for each.
"""

import os
import ssl
import threading
import weakref
from collections.abc import Mapping
from contextlib import closing
from functools import cache

from unstract_worker_core.backend.connection import Connection
from unstract_worker_core.backend.exchanges import (
    AnswerRefused,
    PostAnswer,
    RawAnswer,
    Wanted,
)

_CONNECT_SECONDS = 10.0
_SMALL_READ = 4096


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

    def exchange(self, wanted: Wanted, seconds: float) -> RawAnswer:
        """Send, and read the answer whole, within this time. Raises NotSent, Interrupted or AnswerRefused."""
        answer = self._connection().ask(wanted, seconds)
        encoding = answer.headers.get(b"content-encoding")
        if encoding and encoding.lower() != b"identity":
            raise AnswerRefused("the answer is compressed, unasked", status=answer.status)
        if answer.over:
            raise AnswerRefused(f"the answer is larger than {wanted.body_limit} bytes", status=answer.status)
        return RawAnswer(answer.status, answer.headers, answer.body)

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
    body `body_limit` bytes are enough, and fewer than 4096 more are read.

    Raises NotSent or Interrupted, OSError for the `ca_file`.
    """
    polite = {**headers, "Accept-Encoding": "identity", "Connection": "close"}
    # One less: its last byte already is enough, and with 0 no body is waited for.
    wanted = Wanted("POST", url, polite, body_limit - 1, content=content)
    tls = tls_context(ca_file) if url.lower().startswith("https:") else None
    connection = Connection(tls, connect_seconds=connect_seconds, address=address, read_size=_SMALL_READ)
    with closing(connection):
        return PostAnswer(connection.ask(wanted, timeout_seconds).status)
