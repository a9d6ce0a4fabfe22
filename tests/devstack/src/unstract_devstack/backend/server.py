"""Starts and stops a reference backend inside this process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from attrs import field, frozen

from unstract_devstack.asgi_server import serving
from unstract_devstack.backend import clubbing
from unstract_devstack.backend.application import Application
from unstract_devstack.backend.config import BackendConfig
from unstract_devstack.backend.log_drain import draining
from unstract_devstack.backend.services import Services

KEEP_ALIVE_SECONDS = 75


@frozen
class BackendHandle:
    """Where a running backend is found."""

    base_url: str
    public_url: str
    port: int
    api_key: str = field(repr=False)


@contextmanager
def running(config: BackendConfig) -> Iterator[BackendHandle]:
    """A reference backend on a thread of this process, until the block ends."""
    services = Services.open(config)
    application = Application(services)
    with ExitStack() as stack:
        stack.callback(application.close)
        served = stack.enter_context(
            serving(application, host=config.host, port=config.port, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        )
        stack.callback(application.public.release_callers)
        application.connections = served.connections
        # The threads that work without being asked.
        if config.buffer_loop:
            stack.enter_context(clubbing.processing(services))
        if config.log_drain and config.broker_url:
            stack.enter_context(draining(config.broker_url, services.logs))
        url = f"http://{config.host}:{served.port}"
        yield BackendHandle(f"{url}/internal", url, served.port, config.api_key)
