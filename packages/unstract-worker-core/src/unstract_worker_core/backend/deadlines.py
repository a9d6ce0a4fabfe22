"""Sockets under one deadline.

A timeout of a socket is one of each read, so a peer that sends a byte now and then would never be timed out, neither
in its headers nor in its body. Here every connect, read, write and TLS handshake gets what is left of one budget.

Without TLS the kernel keeps the time (`sockets`).
"""

import errno
import socket
import ssl
import time

from unstract_worker_core.sockets import bound_by_kernel, limit_read, limit_write, send_now

__all__ = ["Deadline", "connected", "receive", "send"]

_CHUNK = 64 * 1024
_READ_SECONDS = 5.0
_KEEPALIVE = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))


class Deadline:
    """The end of the request that is under way; set anew before each request of a connection's owner.

    `longest_read`: the limit of a read that the connection's socket was told, in seconds; None: none yet.
    """

    def __init__(self) -> None:
        self._end = 0.0
        self.longest_read: float | None = None

    def start(self, seconds: float) -> None:
        """The next request has `seconds` from now."""
        self._end = time.monotonic() + seconds

    def left(self, limit: float | None = None) -> float:
        """Seconds for the next step: what is left, at most `limit`. Raises TimeoutError when nothing is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole call is over")
        return left if limit is None else min(left, limit)


def connected(
    host: str, port: int, deadline: Deadline, *, limit: float, tls: ssl.SSLContext | None, name: str
) -> socket.socket:
    """A connection; half-open ones are found by TCP keep-alive after about 35 seconds. `name`: the certificate's.

    Raises OSError; TimeoutError is one.
    """
    sock = socket.create_connection((host, port), timeout=deadline.left(limit))
    deadline.longest_read = None
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option, value in _KEEPALIVE:
            if hasattr(socket, option):  # macOS has no TCP_KEEPIDLE; what is missing keeps the system's value
                level = socket.SOL_SOCKET if option.startswith("SO_") else socket.IPPROTO_TCP
                sock.setsockopt(level, getattr(socket, option), value)
        if tls is None:
            bound_by_kernel(sock)
            return sock
        sock.settimeout(deadline.left(limit))
        return tls.wrap_socket(sock, server_hostname=name)
    except BaseException:
        sock.close()
        raise


def send(sock: socket.socket, content: bytes, deadline: Deadline) -> None:
    """Send all of it. Raises TimeoutError, OSError."""
    deadline.left()  # nothing is sent once the time is over
    sent = send_now(sock, content)
    if sent == len(content):
        return
    view = memoryview(content)[sent:]
    for start in range(0, len(view), _CHUNK):
        limit_write(sock, deadline.left())
        try:
            sock.sendall(view[start : start + _CHUNK])
        except BlockingIOError:
            raise TimeoutError("not taken in time") from None


def receive(sock: socket.socket, size: int, deadline: Deadline) -> bytes:
    """Wait for some bytes; none at the end of the stream. Raises TimeoutError, OSError."""
    while True:
        # Most requests have more time than this one limit, which is then told once. TLS has one for reads and writes.
        limit = deadline.left(_READ_SECONDS)
        if limit != deadline.longest_read or sock.gettimeout() is not None:
            limit_read(sock, limit)
            deadline.longest_read = limit
        try:
            return sock.recv(size)
        except (BlockingIOError, TimeoutError) as error:
            if error.errno == errno.ETIMEDOUT:  # keep-alive found the other side gone
                raise
