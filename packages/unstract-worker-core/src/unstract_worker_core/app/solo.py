"""Files side by side, or one file alone: a file on which a worker died is tried again with nothing beside it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unstract_worker_core.app.progress_mark import mark_progress
from unstract_worker_core.errors import SteppedAside

__all__ = ["SoloGate"]

# How soon a waiting file notices that the process drains; a signal handler cannot notify a condition.
_LOOK_SECONDS = 0.2


class SoloGate:
    """A readers-writer gate of one process: `shared` files run together, `alone` waits for all and keeps out all."""

    def __init__(self, draining: threading.Event) -> None:
        self._draining = draining
        self._changed = threading.Condition()
        self._shared = 0
        self._alone = False
        self._waiting_alone = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run beside others. Waits while a file runs or waits to run alone. Raises SteppedAside on a drain."""
        with self._changed:
            self._wait(lambda: not self._alone and not self._waiting_alone)
            self._shared += 1
        try:
            yield
        finally:
            with self._changed:
                self._shared -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Run with nothing beside it; new files wait meanwhile. Raises SteppedAside on a drain."""
        with self._changed:
            self._waiting_alone += 1
            try:
                self._wait(lambda: not self._alone and not self._shared)
                self._alone = True
            finally:
                self._waiting_alone -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def _wait(self, free: Callable[[], bool]) -> None:
        while not free():
            if self._draining.is_set():
                raise SteppedAside("the process drains")
            mark_progress()  # waiting for others is not being stuck
            self._changed.wait(_LOOK_SECONDS)
