"""Timeouts of sockets that the kernel keeps (SO_RCVTIMEO, SO_SNDTIMEO).

Python's own poll before each read and write, and each system call gives the interpreter away: what a process of a
hundred busy threads spends most on. A socket of TLS keeps Python's, as OpenSSL takes the kernel's for an error.
"""

import socket
import struct

__all__ = ["bound_by_kernel", "limit_read", "limit_write"]


def bound_by_kernel(sock: socket.socket) -> bool:
    """Leave the time to the kernel from now on; False for a socket that keeps Python's timeouts.

    A read or write whose time is over then raises BlockingIOError.
    """
    if type(sock) is not socket.socket:
        return False
    sock.settimeout(None)
    return True


def limit_read(sock: socket.socket, seconds: float) -> None:
    """The longest that a read may take."""
    _limit(sock, socket.SO_RCVTIMEO, seconds)


def limit_write(sock: socket.socket, seconds: float) -> None:
    """The longest that a write may take."""
    _limit(sock, socket.SO_SNDTIMEO, seconds)


def _limit(sock: socket.socket, what: int, seconds: float) -> None:
    if sock.gettimeout() is not None:
        sock.settimeout(seconds)
        return
    micros = max(1, int(seconds * 1_000_000))  # 0 would be for ever
    sock.setsockopt(socket.SOL_SOCKET, what, struct.pack("@ll", *divmod(micros, 1_000_000)))
