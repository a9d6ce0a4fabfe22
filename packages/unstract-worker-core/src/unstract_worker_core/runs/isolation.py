"""Whether files run side by side or one runs alone: a file on which a worker died is retried alone in its process."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.observability.progress import mark_progress

# How soon a waiting file notices that the process drains; a signal handler cannot notify a condition.
_LOOK_SECONDS = 0.2


class IsolationLock:
    """A readers-writer lock of one process: `shared` files run together, an `exclusive` one runs alone.

    `patience`: seconds that a file waits for those beside it to end; one that hangs must not keep out all others.
    """

    def __init__(self, draining: threading.Event, *, patience: float = 60.0) -> None:
        self._draining = draining
        self._patience = patience
        self._changed = threading.Condition()
        self._shared = 0
        self._exclusive = False
        self._waiting_exclusive = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Run beside others. Waits while a file runs or waits to run alone. Raises SteppedAside on a drain."""
        with self._changed:
            self._wait(self._open)
            self._shared += 1
        try:
            yield
        finally:
            with self._changed:
                self._shared -= 1
                if self._waiting_exclusive:  # the only waiter
                    self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Run alone; new files wait meanwhile. Raises SteppedAside on a drain, or after `patience` seconds."""
        ends = time.monotonic() + self._patience
        with self._changed:
            self._waiting_exclusive += 1
            try:
                self._wait(lambda: not self._exclusive and not self._shared, ends=ends)
                self._exclusive = True
            finally:
                self._waiting_exclusive -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._exclusive = False
                self._changed.notify_all()

    def _open(self) -> bool:
        return not self._exclusive and not self._waiting_exclusive

    def _wait(self, free: Callable[[], bool], *, ends: float | None = None) -> None:
        while not free():
            if self._draining.is_set():
                raise SteppedAside("the process drains")
            if ends is not None and time.monotonic() >= ends:
                raise SteppedAside("the files beside it have not ended", delay_seconds=self._patience)
            mark_progress()  # waiting for others is not being stuck
            self._changed.wait(_LOOK_SECONDS)
