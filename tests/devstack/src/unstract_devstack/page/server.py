"""The page's HTTP server: loopback only, its own origin only, a bounded number of connections and of watchers."""

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

from attrs import field, frozen

from unstract_devstack.page.handler import PageHandler
from unstract_devstack.page.routes import Routes
from unstract_devstack.page.sources import Sources
from unstract_devstack.page.stream import Pace

HOST = "127.0.0.1"


@frozen
class Bounds:
    """What clients may cost: connections and watchers at a time, and the watchers' pace."""

    connections: int = 64
    watchers: int = 16
    pace: Pace = field(factory=Pace)


@frozen
class PageHandle:
    """A running page."""

    url: str
    server: "PageServer"

    @property
    def watchers(self) -> int:
        """How many watch now."""
        return self.server.watching


@contextlib.contextmanager
def running_page(sources: Sources, *, port: int = 0, bounds: Bounds | None = None) -> Iterator[PageHandle]:
    """The page on a loopback port (0: a free one) until the block is left; watchers are let go at its end."""
    server = PageServer((HOST, port), Routes(sources), bounds or Bounds())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield PageHandle(f"http://{HOST}:{server.server_address[1]}/", server)
    finally:
        server.end()
        thread.join()


class PageServer(ThreadingHTTPServer):
    """Threads that serve the page, as many as `bounds` allow."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], routes: Routes, bounds: Bounds) -> None:
        self.routes, self.bounds = routes, bounds
        self.ending = threading.Event()
        self.watching = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(address, PageHandler)
        own = self.server_address[1]
        self.names = frozenset({f"127.0.0.1:{own}", f"localhost:{own}"})

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serves a connection on a thread of its own, or closes it where too many are open."""
        with self._lock:
            full = len(self._open) >= self.bounds.connections
            if not full:
                self._open.add(request)
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Closes a connection and forgets it."""
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to tell; anything else is printed, as the base class does."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    @contextlib.contextmanager
    def watcher(self) -> Iterator[bool]:
        """One of the places for watchers; False where all are taken."""
        with self._lock:
            free = self.watching < self.bounds.watchers
            self.watching += free
        try:
            yield free
        finally:
            with self._lock:
                self.watching -= free

    def end(self) -> None:
        """Stops listening and closes what is open."""
        self.ending.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            still = tuple(self._open)
        for connection in still:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
