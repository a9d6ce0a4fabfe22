"""Opens sockets: each address of a host gets a share of the time, and the one that worked goes first for a while."""

import socket
import time
from typing import Any
from urllib.parse import unquote

# The first of several addresses may swallow packets: the next one gets its turn after this time at most.
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


class Dialer:
    """Connects for all threads of a transport; `address`: to this IP address, whatever the host's are."""

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._worked: dict[tuple[str, int], tuple[tuple[Any, ...], float]] = {}

    def connect(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection to the first of the host's addresses that takes one.

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
                _set_options(sock)
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


def _set_options(sock: socket.socket) -> None:
    for level, option, value in _OPTIONS:
        if hasattr(socket, option):  # macOS has no TCP_KEEPIDLE; what is missing keeps the system's value
            sock.setsockopt(level, getattr(socket, option), value)
