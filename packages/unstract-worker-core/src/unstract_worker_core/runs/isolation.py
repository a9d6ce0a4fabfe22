"""Files side by side, or one file alone: a file on which a worker died is tried again with nothing beside it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.observability.progress import mark_progress

# How soon a waiting file notices that the process drains; a signal handler cannot notify a condition.
_LOOK_SECONDS = 0.2


class IsolationLock:
    """A readers-writer gate of one process: `shared` files run together, `alone` waits for all and keeps out all.

    `patience`: seconds that a file waits for those beside it to end; one that hangs must not keep out all others.
    """

    def __init__(self, draining: threading.Event, *, patience: float = 60.0) -> None:
        self._draining = draining
        self._patience = patience
        self._changed = threading.Condition()
        self._shared = 0
        self._alone = False
        self._waiting_alone = 0

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
                if self._waiting_alone:  # nobody else waits for this
                    self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Run with nothing beside it; new files wait meanwhile. Raises SteppedAside on a drain and out of patience."""
        ends = time.monotonic() + self._patience
        with self._changed:
            self._waiting_alone += 1
            try:
                self._wait(lambda: not self._alone and not self._shared, ends=ends)
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

    def _open(self) -> bool:
        return not self._alone and not self._waiting_alone

    def _wait(self, free: Callable[[], bool], *, ends: float | None = None) -> None:
        while not free():
            if self._draining.is_set():
                raise SteppedAside("the process drains")
            if ends is not None and time.monotonic() >= ends:
                raise SteppedAside("the files beside it have not ended", delay_seconds=self._patience)
            mark_progress()  # waiting for others is not being stuck
            self._changed.wait(_LOOK_SECONDS)
