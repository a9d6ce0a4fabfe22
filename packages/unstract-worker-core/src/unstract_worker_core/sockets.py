"""Sockets for a process of a hundred busy threads, where giving the interpreter away costs a turn in their queue.

Python gives it away for each system call on a socket, and polls before each if there is a timeout. Here the kernel
keeps the time (SO_RCVTIMEO, SO_SNDTIMEO), and calls that cannot wait (MSG_DONTWAIT) are made without giving anything
away. That is a third of the processor time of a worker with a hundred slots. TLS's sockets stay as they are: theirs are
calls of OpenSSL.
"""

import ctypes
import errno
import select
import socket
import struct

__all__ = ["bound_by_kernel", "limit_read", "limit_write", "send_now", "silent"]

# PyDLL keeps the interpreter's lock over the call, CDLL would not.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_send, _recv = _LIBC.send, _LIBC.recv
_send.argtypes = _recv.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int)
_send.restype = _recv.restype = ctypes.c_ssize_t
_SEND_AT_ONCE = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)  # macOS has none; Python ignores SIGPIPE
_LOOK = socket.MSG_DONTWAIT | socket.MSG_PEEK
_MOST = 64 * 1024
_UNREAD = ctypes.create_string_buffer(1)  # what lands here nobody looks at


def bound_by_kernel(sock: socket.socket) -> bool:
    """Leave the time to the kernel from now on; False for a socket of TLS, which keeps Python's timeouts.

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


def send_now(sock: socket.socket, content: bytes) -> int:
    """Send what the socket takes without waiting; how many bytes that were, 0 also for whatever went wrong.

    The rest is for ``sendall``, which waits, or says what is wrong.
    """
    if type(sock) is not socket.socket or len(content) > _MOST:
        return 0
    sent: int = _send(sock.fileno(), content, len(content), _SEND_AT_ONCE)
    return max(0, sent)


def silent(sock: socket.socket) -> bool:
    """Whether the other side has neither said anything that is still unread, nor closed or broken the connection."""
    if type(sock) is not socket.socket:
        waiting = select.poll()
        waiting.register(sock, select.POLLIN)
        return not waiting.poll(0)
    return _recv(sock.fileno(), _UNREAD, 1, _LOOK) < 0 and ctypes.get_errno() in (errno.EAGAIN, errno.EINTR)


def _limit(sock: socket.socket, what: int, seconds: float) -> None:
    if sock.gettimeout() is not None:
        sock.settimeout(seconds)
        return
    micros = max(1, int(seconds * 1_000_000))  # 0 would be for ever
    sock.setsockopt(socket.SOL_SOCKET, what, struct.pack("@ll", *divmod(micros, 1_000_000)))
