"""Sockets under one deadline.

httpx and httpcore time each read by itself, so a peer that sends a byte now and then is never timed out,
neither in its headers nor in its body. Here every connect, read, write and TLS handshake gets what is left of
one budget.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
from httpcore import ConnectTimeout, ReadTimeout, WriteTimeout

_CHUNK = 64 * 1024
_KEEPALIVE = (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4))
_SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class Deadline:
    """The end of the request that is under way; set anew before each request of a connection's owner."""

    def __init__(self) -> None:
        self._end = 0.0

    def start(self, seconds: float) -> None:
        """The next request has `seconds` from now."""
        self._end = time.monotonic() + seconds

    def left(self, limit: float | None, expired: type[Exception]) -> float:
        """Seconds for the next step: what is left, at most `limit`. Raises `expired` when nothing is."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise expired("the time for the whole call is over")
        return left if limit is None else min(left, limit)


class DeadlineBackend(httpcore.NetworkBackend):
    """Opens TCP connections under `deadline`; to `address` instead of the URL's host where one is given.

    `read_size`: how many bytes one read takes at most; httpcore's own size by default.
    """

    def __init__(self, deadline: Deadline, address: str | None = None, read_size: int | None = None) -> None:
        self._backend = httpcore.SyncBackend()
        self._deadline = deadline
        self._address = address
        self._read_size = read_size

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.NetworkStream:
        """A stream to the host; half-open connections are found by TCP keep-alive after about 35 seconds."""
        stream = self._backend.connect_tcp(
            self._address or host,
            port,
            timeout=self._deadline.left(timeout, ConnectTimeout),
            local_address=local_address,
            socket_options=[*(socket_options or ()), *_keepalive()],
        )
        return _DeadlineStream(stream, self._deadline, self._read_size)


def _keepalive() -> list[_SocketOption]:
    # Not every platform names them all (macOS: no TCP_KEEPIDLE); what is missing keeps the system's value.
    known = ((getattr(socket, name, None), name, value) for name, value in _KEEPALIVE)
    return [
        (socket.SOL_SOCKET if name.startswith("SO_") else socket.IPPROTO_TCP, option, value)
        for option, name, value in known
        if option is not None
    ]


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline, read_size: int | None) -> None:
        self._stream = stream
        self._deadline = deadline
        self._read_size = read_size

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        size = min(max_bytes, self._read_size or max_bytes)
        return self._stream.read(size, self._deadline.left(timeout, ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        view = memoryview(buffer)
        for start in range(0, len(view), _CHUNK):
            left = self._deadline.left(timeout, WriteTimeout)
            self._stream.write(bytes(view[start : start + _CHUNK]), left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left(timeout, ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _DeadlineStream(stream, self._deadline, self._read_size)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
