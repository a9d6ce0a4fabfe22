"""One request and its response on the wire: opening the socket, the time budget, and the errors."""

import os
import socket
import ssl
import time
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.parse import unquote

from attrs import Factory, define, frozen

from unstract_worker_core.errors import WorkerError

# The longest single wait, so that a socket's timeout is set only once.
_SLICE_SECONDS = 5.0
_FIRST_NOTICE_SECONDS = 60.0

OnSilence = Callable[[float], None]
"""Called in the thread that waits, with the seconds without a byte: after a minute, then each time twice as late."""
# The first of several addresses may drop packets: the next one is tried after this time at the latest.
_ONE_ADDRESS_SECONDS = 3.0
_ADDRESS_KEPT_SECONDS = 300.0
# A peer that is gone is found after about 35 s, whether we wait for it or it does not acknowledge what we sent.
_OPTIONS = (
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 15),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 5),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 4),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 35_000),
)


class ConnectFailed(WorkerError):
    """No byte of the request was sent, so that every request may be repeated."""


class ResponseLost(WorkerError):
    """The request may have arrived; no whole response did.

    Attributes:
        timed_out: the time was over, as opposed to a broken connection or a malformed response.
        stale: the connection had carried another request before, and broke before a byte of this response came.
            The server may have closed it while it was idle.
    """

    def __init__(self, reason: str, *, timed_out: bool = False, stale: bool = False) -> None:
        self.timed_out = timed_out
        self.stale = stale
        super().__init__(reason)


class ResponseRefused(WorkerError):
    """A response came that is not read: too large, or compressed although identity was asked for."""

    def __init__(self, reason: str, *, status: int) -> None:
        self.status = status
        super().__init__(reason)


@frozen
class PostResult:
    """The response to `post_once`; its body was dropped. `retry_after`: the header, as it came."""

    status: int
    retry_after: str | None = None


@frozen
class Limits:
    """What bounds one exchange.

    Attributes:
        seconds: budget of all of it, from connecting to the last byte.
        connect_seconds: limit of opening a connection, and of its TLS handshake.
        body: largest body of the response in bytes, behind which nothing is read; None: any size.
        silence: longest time in seconds without a byte of the response; None: the budget.
        fresh: on a connection that has carried no other request.
        on_silence: called for a response that does not come.
    """

    seconds: float
    connect_seconds: float = 10.0
    body: int | None = None
    silence: float | None = None
    fresh: bool = False
    on_silence: OnSilence | None = None


@define
class Exchange:
    """The progress of one exchange. `sent`: bytes given to the network; `reads`: how often something came."""

    limits: Limits
    reused: bool
    ends: float
    heard_at: float
    sent: int = 0
    reads: int = 0
    _next_notice: float = Factory(lambda: _FIRST_NOTICE_SECONDS)

    @classmethod
    def start(cls, limits: Limits, *, reused: bool) -> "Exchange":
        """An exchange that begins now, on a connection that has carried another request before if `reused`."""
        now = time.monotonic()
        return cls(limits, reused, now + limits.seconds, now)

    def seconds_left(self, limit: float) -> float:
        """Seconds for the next step, at most `limit`. Raises TimeoutError once the budget is used up."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole call is over")
        return min(left, limit)

    def next_wait(self, *, reading: bool) -> float:
        """Seconds until the next look at the clock. Raises TimeoutError once the budget or the patience is used up."""
        limit = _SLICE_SECONDS
        if reading and self.limits.silence is not None:
            patience = self.heard_at + self.limits.silence - time.monotonic()
            if patience <= 0:
                raise TimeoutError(f"nothing came for {self.limits.silence:.0f} s")
            limit = min(limit, self.limits.silence)
        return self.seconds_left(limit)

    def note_received(self) -> None:
        """Note that bytes came."""
        self.reads += 1
        self.heard_at = time.monotonic()

    def note_silence(self) -> None:
        """Note a wait without a byte; calls `on_silence` when it is time."""
        silent = time.monotonic() - self.heard_at
        if self.limits.on_silence is not None and silent >= self._next_notice:
            self._next_notice *= 2
            self.limits.on_silence(silent)


class Dialer:
    """Connects for all threads of a transport; `address`: an IP address to connect to instead of the host's."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._worked: dict[tuple[str, int], tuple[tuple[Any, ...], float]] = {}

    def connect(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection to the first of the host's addresses that accepts one.

        Raises:
            OSError: none did; TimeoutError, if the last one did not in its time.
        """
        ends = time.monotonic() + seconds
        addresses = self._addresses(host, port)
        failed: OSError = TimeoutError()
        for number, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
            left, others = ends - time.monotonic(), len(addresses) - number
            if left <= 0:
                break
            sock = socket.socket(family, kind, protocol)
            try:
                for level, option, value in _OPTIONS:
                    if hasattr(socket, option):  # macOS has no TCP_KEEPIDLE; what is missing keeps the system's value
                        sock.setsockopt(level, getattr(socket, option), value)
                sock.settimeout(min(left / (others + 1), _ONE_ADDRESS_SECONDS) if others else left)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failed = error
            else:
                self._worked[host, port] = address, time.monotonic() + _ADDRESS_KEPT_SECONDS
                return sock
        self._worked.pop((host, port), None)
        raise failed

    def _addresses(self, host: str, port: int) -> list[tuple[Any, ...]]:
        # The zone of a link-local address is written %25eth0 in a URL.
        found: list[tuple[Any, ...]] = socket.getaddrinfo(self._address or unquote(host), port, type=socket.SOCK_STREAM)
        worked, until = self._worked.get((host, port), (None, 0.0))
        if worked is not None and time.monotonic() < until:
            found.sort(key=lambda each: each[4] != worked)
        return found


@cache
def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """The certificates that are trusted: the well-known ones, and those in `ca_file`. Raises OSError."""
    import certifi  # only where TLS is spoken

    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


def system_reason(error: OSError) -> str:
    """Why the network failed, in plain words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return "unknown host name"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'the connection was closed').replace('_', ' ').lower()}"
    return os.strerror(error.errno).lower() if error.errno is not None else "the connection broke"
