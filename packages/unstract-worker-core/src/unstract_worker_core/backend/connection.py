"""One connection to one origin: a request goes out, its answer is read."""

import os
import re
import socket
import ssl
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from unstract_worker_core.backend.deadlines import Deadline, connected, receive, send
from unstract_worker_core.backend.exchanges import Interrupted, NotSent, Wanted
from unstract_worker_core.backend.incoming import Incoming, MalformedAnswer
from unstract_worker_core.sockets import silent

__all__ = ["Connection"]

_IDLE_SECONDS = 5.0
_READ = 16 * 1024
_PORTS = {"http": 80, "https": 443}
_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")
_VALUES = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_URL = re.compile(r"([^:/?#]*://[^/?#]*)([^#]*)")
_BLANKS = " \t"
_UNSAFE_KEPT = "/%:@!$&'()*+,;=~?[]"
_AS_IT_IS = re.compile(r"/[/0-9A-Za-z_.\-~]*")


class _Place(NamedTuple):
    """Where a request goes. `host`: as the certificate names it. `shown`: the Host header."""

    scheme: str
    host: str
    port: int
    shown: str
    path: str


class Connection:
    """Kept between requests to the same origin, for one thread. Opened when there is something to send."""

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        *,
        connect_seconds: float,
        address: str | None = None,
        read_size: int = _READ,
    ) -> None:
        """`address`: connect there instead of the URL's host. `read_size`: what one read takes at most."""
        self.pid = os.getpid()
        self._tls = tls
        self._connect_seconds = connect_seconds
        self._address = address
        self._read_size = read_size
        self._deadline = Deadline()
        self._socket: socket.socket | None = None
        self._origin: tuple[str, str, int] | None = None
        self._used_at = 0.0

    def ask(self, wanted: Wanted, seconds: float) -> Incoming:
        """Send a request and read its answer; what is left unread closes the connection.

        `seconds` bounds all of it, from connecting to the last byte. Raises NotSent and Interrupted.
        """
        try:
            place = _place(wanted.url)
            message = _message(wanted, place)
        except ValueError as error:
            raise NotSent(f"not a request that can be sent ({type(error).__name__})") from None
        self._deadline.start(seconds)
        try:
            sock = self._open(place)
        except OSError as error:
            self.close()
            kind = "ConnectTimeout" if isinstance(error, TimeoutError) else "ConnectError"
            raise NotSent(_reason(kind, error)) from None
        answer, kept = Incoming(wanted.body_limit), False
        try:
            send(sock, message, self._deadline)
            while not answer.ended:
                answer.feed(receive(sock, self._read_size, self._deadline))
            kept = answer.reusable and not answer.over
        except TimeoutError as error:
            raise Interrupted(_reason("ReadTimeout", error), timed_out=True) from None
        except MalformedAnswer as error:
            raise Interrupted(_reason("RemoteProtocolError", error), timed_out=False) from None
        except OSError as error:
            raise Interrupted(_reason("ReadError", error), timed_out=False) from None
        finally:
            self._used_at = time.monotonic()
            if not kept:
                self.close()
        return answer

    def close(self) -> None:
        """Close the socket; the next request opens another."""
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()

    def _open(self, place: _Place) -> socket.socket:
        origin = place[:3]
        if self._socket is not None and (origin != self._origin or self._stale(self._socket)):
            self.close()
        if self._socket is None:
            host, tls = self._address or place.host, self._tls if place.scheme == "https" else None
            limit = self._connect_seconds
            self._socket = connected(host, place.port, self._deadline, limit=limit, tls=tls, name=place.host)
            self._origin = origin
        return self._socket

    def _stale(self, sock: socket.socket) -> bool:
        """Idle for long, closed by the other side, or sent something that nobody asked for."""
        return time.monotonic() - self._used_at > _IDLE_SECONDS or not silent(sock)


@lru_cache(maxsize=1024)
def _split(origin: str) -> tuple[str, str, int, str]:
    parts = urlsplit(origin)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https URL")
    host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode("ascii")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    shown = f"[{host}]" if ":" in host else host
    return parts.scheme, host, port, shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"


def _place(url: str) -> _Place:
    parts = _URL.match(url)
    if parts is None:
        raise ValueError("not an absolute URL")
    return _Place(*_split(parts[1]), parts[2])


def _message(wanted: Wanted, place: _Place) -> bytes:
    target = place.path
    if not _AS_IT_IS.fullmatch(target):
        target = quote(target if target.startswith("/") else f"/{target}", safe=_UNSAFE_KEPT)
    if wanted.query:
        target += ("&" if "?" in target else "?") + urlencode(wanted.query)
    head = f"{wanted.method} {target} HTTP/1.1\r\nHost: {place.shown}\r\n".encode("ascii")
    shared, own, content = _shared_lines(wanted.shared), _lines(wanted.headers), wanted.content
    if content is None:
        return b"%b%b%b\r\n" % (head, shared, own)
    return b"%b%b%bContent-Length: %d\r\n\r\n%b" % (head, shared, own, len(content), content)


@lru_cache(maxsize=16)
def _shared_lines(headers: tuple[tuple[str, str], ...]) -> bytes:
    return _lines(dict(headers))


def _lines(headers: Mapping[str, str]) -> bytes:
    if "" in headers or not (_NAMES.fullmatch("".join(headers)) and _VALUES.fullmatch("".join(headers.values()))):
        raise ValueError("a header that is not one")
    return "".join([f"{name}: {value.strip(_BLANKS)}\r\n" for name, value in headers.items()]).encode("latin-1")


def _reason(kind: str, error: Exception) -> str:
    return f"{kind}: {error}" if str(error) else kind
