"""Sockets under one deadline.

A timeout of a socket is one of each read, so a peer that sends a byte now and then would never be timed out, neither
in its headers nor in its body. Here every connect, read, write and TLS handshake gets what is left of one budget.

Without TLS the kernel keeps the time (SO_RCVTIMEO): Python's own timeouts poll before each read and write, and each
system call gives the interpreter away, which is what a process of a hundred busy threads spends most on.
"""

import io
import socket
import ssl
import struct
import time

__all__ = ["Deadline", "DeadlineReader", "connected", "send"]

_CHUNK = 64 * 1024
_KEEPALIVE = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))


class Deadline:
    """The end of the request that is under way; set anew before each request of a connection's owner."""

    def __init__(self) -> None:
        self._end = 0.0

    def start(self, seconds: float) -> None:
        """The next request has `seconds` from now."""
        self._end = time.monotonic() + seconds

    def left(self, limit: float | None = None) -> float:
        """Seconds for the next step: what is left, at most `limit`. Raises TimeoutError when nothing is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole call is over")
        return left if limit is None else min(left, limit)


class DeadlineReader(io.RawIOBase):
    """What a socket receives, as a file; each read within what is left."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Wait for some bytes; 0 at the end of the stream. Raises TimeoutError, OSError."""
        _bound(self._socket, socket.SO_RCVTIMEO, self._deadline.left())
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            raise TimeoutError("nothing came in time") from None


def connected(
    host: str, port: int, deadline: Deadline, *, limit: float, tls: ssl.SSLContext | None, name: str
) -> socket.socket:
    """A connection; half-open ones are found by TCP keep-alive after about 35 seconds. `name`: the certificate's.

    Raises OSError; TimeoutError is one.
    """
    sock = socket.create_connection((host, port), timeout=deadline.left(limit))
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):  # macOS has no TCP_KEEPIDLE; what is missing keeps the system's value
                level = socket.SOL_SOCKET if option.startswith("SO_") else socket.IPPROTO_TCP
                sock.setsockopt(level, getattr(socket, option), value)
        if tls is None:
            sock.settimeout(None)
            return sock
        sock.settimeout(deadline.left(limit))
        return tls.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def send(sock: socket.socket, content: bytes, deadline: Deadline) -> None:
    """Send all of it. Raises TimeoutError, OSError."""
    view = memoryview(content)
    for start in range(0, len(view), _CHUNK):
        _bound(sock, socket.SO_SNDTIMEO, deadline.left())
        try:
            sock.sendall(view[start : start + _CHUNK])
        except BlockingIOError:
            raise TimeoutError("not taken in time") from None


def _bound(sock: socket.socket, what: int, seconds: float) -> None:
    """Limit the next read or write: by the kernel where the socket blocks, else by Python."""
    if sock.gettimeout() is not None:
        sock.settimeout(seconds)
        return
    micros = max(1, int(seconds * 1_000_000))  # 0 would be for ever
    sock.setsockopt(socket.SOL_SOCKET, what, struct.pack("@ll", *divmod(micros, 1_000_000)))
