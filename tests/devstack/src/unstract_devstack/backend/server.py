"""Starts and stops a reference backend inside this process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from attrs import field, frozen

from unstract_devstack.backend import clubbing
from unstract_devstack.backend.application import Application
from unstract_devstack.backend.config import BackendConfig
from unstract_devstack.backend.log_drain import draining
from unstract_devstack.backend.services import Services

START_SECONDS = 20.0


@frozen
class BackendHandle:
    """Where a running backend is found."""

    base_url: str
    public_url: str
    port: int
    api_key: str = field(repr=False)


class StartFailed(RuntimeError):
    """The backend did not come up in time."""


@contextmanager
def running(config: BackendConfig) -> Iterator[BackendHandle]:
    """A reference backend on a thread of this process, until the block ends."""
    with socket.create_server((config.host, config.port), backlog=1024) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections take it over
        port = int(listener.getsockname()[1])
        services = Services.open(config)
        application = Application(services)
        server = uvicorn.Server(_settings(config, application))
        application.connections = server.server_state.connections
        thread = threading.Thread(target=server.run, args=([listener],), name="reference-backend", daemon=True)
        thread.start()
        try:
            _wait(server, thread)
            with _background(services):
                url = f"http://{config.host}:{port}"
                yield BackendHandle(f"{url}/internal", url, port, config.api_key)
        finally:
            application.public.release_callers()
            server.should_exit = True
            thread.join(START_SECONDS)
            application.close()


@contextmanager
def _background(services: Services) -> Iterator[None]:
    """The threads that work without being asked."""
    config = services.config
    with ExitStack() as stack:
        if config.buffer_loop:
            stack.enter_context(clubbing.processing(services))
        if config.log_drain and config.broker_url:
            stack.enter_context(draining(config.broker_url, services.logs))
        yield


def _settings(config: BackendConfig, application: Application) -> uvicorn.Config:
    return uvicorn.Config(
        application, http="h11", loop="asyncio", lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_keep_alive=config.keep_alive_seconds, timeout_graceful_shutdown=2, backlog=1024,
    )  # fmt: skip


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Until the server listens. Raises StartFailed."""
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise StartFailed("the reference backend did not start: see the log for its reason")
        time.sleep(0.005)
