"""An ASGI application that is served on a thread of this process."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from attrs import frozen
from starlette.types import ASGIApp

START_SECONDS = 20.0
SETTINGS: dict[str, Any] = {
    "http": "h11", "ws": "none", "loop": "asyncio", "lifespan": "off", "log_config": None, "access_log": False,
    "server_header": False, "timeout_graceful_shutdown": 2, "backlog": 1024,
}  # fmt: skip


@frozen
class Served:
    """A running server. `connections` are the open ones, each with its `client` and its `transport`."""

    port: int
    server: uvicorn.Server

    @property
    def connections(self) -> set[Any]:
        """The open connections as uvicorn keeps them."""
        return self.server.server_state.connections


class StartFailed(RuntimeError):
    """The server did not come up in time."""


class _Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what is still open is cut."""
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # so that the loop closes them


@contextmanager
def serving(application: ASGIApp, *, host: str, port: int = 0, **settings: Any) -> Iterator[Served]:
    """The application at this address (port 0: a free one) until the block ends.

    `settings` are further ones of uvicorn. Raises StartFailed.
    """
    with socket.create_server((host, port), backlog=1024) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections take it over
        server = _Server(uvicorn.Config(application, **{**SETTINGS, **settings}))
        thread = threading.Thread(target=server.run, args=([listener],), name="asgi-server", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + START_SECONDS
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise StartFailed("the server did not start: see the log for its reason")
                time.sleep(0.005)
            yield Served(int(listener.getsockname()[1]), server)
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)
