"""Sends due notifications again and again, in place of the platform's side-car."""

import logging
import threading

from unstract_devstack.backend import clubbing
from unstract_devstack.backend.services import Services

log = logging.getLogger(__name__)


class BufferLoop:
    """A thread that processes the notification buffer; it needs a broker and does nothing without one."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notification-buffer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._services.config.buffer_loop_seconds):
            self._services.requests.flush()
            if self._services.broker is None:
                continue
            try:
                clubbing.process(self._services)
            except Exception:  # a thread's end: one bad round must not stop the rounds after it
                log.exception("the notification buffer was not processed")
