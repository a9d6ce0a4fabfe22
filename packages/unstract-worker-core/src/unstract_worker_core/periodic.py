"""Repetition in the background: services with a thread each, and actions that share one while a block runs."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

import structlog
from attrs import define, field

from unstract_worker_core.errors import WorkerError

_STOP_SECONDS = 10.0


class PeriodicService:
    """Calls `tick` about every `interval` seconds, with jitter, in its own thread. An error of a tick is logged.

    Attributes:
        name: what a tick is, for the thread and the log.
        stopping: set once the service must stop; a tick with many steps looks at it between them.
    """

    def __init__(self, name: str, interval: float) -> None:
        self.name = name
        self.interval = interval
        self.stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._log = structlog.get_logger(type(self).__module__)

    def tick(self) -> object:
        """One repetition."""
        raise NotImplementedError

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._loop, name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait up to ten seconds for a tick under way."""
        self.stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=_STOP_SECONDS)

    def _loop(self) -> None:
        while not self.stopping.wait(self.interval * random.uniform(0.75, 1.25)):
            try:
                self.tick()
            except WorkerError as error:  # the backend, the broker or Redis is away: the next tick tries again
                self._log.warning(f"{self.name} failed", error=str(error))
            except Exception:  # noqa: BLE001 - thread boundary: a service that ended silently would strand its work
                self._log.exception(f"{self.name} failed unexpectedly")


@define(eq=False)
class PeriodicThread:
    """Calls each registered action every `seconds`, one after the other; for actions that may be delayed."""

    seconds: float
    _actions: set[Callable[[], None]] = field(factory=set, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    @contextmanager
    def calling(self, action: Callable[[], None]) -> Iterator[None]:
        """Call `action` repeatedly while the block runs, and possibly once right after it.

        It runs in the caller's context: its log records and backend calls are those of the caller's task and trace.
        """
        called = partial(copy_context().run, action)
        with self._guard:
            self._actions.add(called)
            # Started on use: a thread does not survive a fork, and ends once there is nothing to call.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="ticker", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._guard:
                self._actions.discard(called)

    def _loop(self) -> None:
        while True:
            time.sleep(self.seconds)
            if not self._call_all():
                return

    def _call_all(self) -> bool:
        """Call each action once; False where there is none. What an action works on is not kept until the next time."""
        with self._guard:
            actions = tuple(self._actions)
            if not actions:
                self._thread = None
                return False
        for action in actions:
            try:
                action()
            except Exception:  # noqa: BLE001 - thread boundary: one action must not end the others
                structlog.get_logger(__name__).exception("a background action failed")
        return True
