"""Actions that are repeated in the background while a block runs, by one thread for the whole process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

import structlog
from attrs import define, field

__all__ = ["PeriodicThread"]


@define(eq=False)
class PeriodicThread:
    """Calls each registered action every `seconds`, one after the other; for what may also be late."""

    seconds: float
    _actions: set[Callable[[], None]] = field(factory=set, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """Call `action` again and again while the block runs, and possibly once right after it.

        It runs in the caller's context: its log records and backend calls are those of the caller's task and trace.
        """
        called = partial(copy_context().run, action)
        with self._guard:
            self._actions.add(called)
            # Started on first use: a thread does not survive a fork.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="ticker", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._guard:
                self._actions.discard(called)

    def _loop(self) -> None:
        pause = threading.Event()
        while not pause.wait(self.seconds):
            with self._guard:
                actions = tuple(self._actions)
            for action in actions:
                try:
                    action()
                except Exception:  # noqa: BLE001 - thread boundary: one action must not end the others
                    structlog.get_logger(__name__).exception("a background action failed")
