"""The end of a process: first notice, finish what runs; second notice or no time left, hand back and go.

The pool of threads ends with it; Celery's pool of processes waits for its children, which drain by themselves.

Whatever hangs (a call, a thread, the broker), the process is gone a few seconds after its time.
"""

import os
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any

from attrs import define, field
from celery.concurrency.thread import TaskPool

from unstract_worker_core.observability.logs import get_logger

# After handing back: what Celery's own shutdown gets for returning unacknowledged messages.
_LINGER_SECONDS = 5.0
_LOOK_SECONDS = 0.1
POOL_PATHS = {
    "threads": "unstract_worker_core.worker.drain:ThreadPool",
    "prefork": "celery.concurrency.prefork:TaskPool",
}
"""As Celery's settings name a pool."""
_POOLS = {"celery.concurrency.prefork", "celery.concurrency.thread"}

log = get_logger(__name__)


@define
class SelfPipe:
    """A pipe to oneself."""

    _read: int = field(init=False)
    _write: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def notify(self) -> None:
        """Wake the waiting thread; safe in a signal handler."""
        with suppress(BlockingIOError):  # full: it was woken often enough
            os.write(self._write, b".")

    def wait(self, seconds: float | None, *others: int) -> bool:
        """Wait for a notice, or for one of the other descriptors to close; False after the time."""
        ready, _, _ = select.select([self._read, *others], [], [], seconds)
        if self._read in ready:
            os.read(self._read, 1)
        return bool(ready)


@define
class ParentPipe:
    """Made by the parent before it forks: every child notices when the parent closes it or dies."""

    read: int = field(init=False)
    _write: int | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.read, self._write = os.pipe()

    def cut(self) -> None:
        """Close this process's end: the parent to tell its children, a child so that only the parent holds it."""
        if self._write is not None:
            os.close(self._write)
            self._write = None


def within(seconds: float, action: Callable[[], object]) -> None:
    """Call something that may hang, and wait at most so long."""
    thread = threading.Thread(target=action, name="hand-back", daemon=True)
    thread.start()
    thread.join(seconds)


@define(eq=False)
class Drain:
    """Listens for notices in a thread of its own.

    Attributes:
        seconds: how long running tasks may go on.
        hand_back: releases every lease of this process.
        draining: set at the first notice: steps start nothing new.
        hurry: set once leases were handed back: tasks are not waited for any more.
    """

    seconds: float
    hand_back: Callable[[], object]
    draining: threading.Event = field(factory=threading.Event)
    hurry: threading.Event = field(factory=threading.Event)
    _wake: SelfPipe = field(factory=SelfPipe)
    _lines: tuple[ParentPipe, ParentPipe] = field(factory=lambda: (ParentPipe(), ParentPipe()))

    def listen(self) -> None:
        """In the main process: wait for notices."""
        threading.Thread(target=self._main, name="drain", daemon=True).start()

    def listen_in_child(self, idle: Callable[[], bool]) -> None:
        """In a prefork child, right after the fork: wait for notices of its own and for the parent's."""
        self.draining, self.hurry, self._wake = threading.Event(), threading.Event(), SelfPipe()
        for line in self._lines:
            line.cut()
        threading.Thread(target=self._child, args=(idle,), name="drain", daemon=True).start()

    def notify(self) -> None:
        """A notice; safe in a signal handler."""
        self._wake.notify()

    def begin(self) -> None:
        """Start nothing new, here and in the children."""
        self.draining.set()
        self._lines[0].cut()

    def _main(self) -> None:
        self._wake.wait(None)
        log.info("draining", seconds=self.seconds)
        self.begin()
        again = self._wake.wait(self.seconds)
        self._lines[1].cut()
        log.info("handing back", reason="second signal" if again else "time is up")
        within(_LINGER_SECONDS, self.hand_back)
        self.hurry.set()
        self._wake.wait(_LINGER_SECONDS)
        os._exit(0)

    def _child(self, idle: Callable[[], bool]) -> None:
        parent_drains, parent_hurries = (line.read for line in self._lines)
        self._wake.wait(None, parent_drains)
        self.draining.set()
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline and not idle() and not self._wake.wait(0.2, parent_hurries):
            pass
        within(_LINGER_SECONDS, self.hand_back)
        if not idle():
            os._exit(0)


def is_supported_pool(pool: type) -> bool:
    """Whether a pool is Celery's pool of threads or of processes, or extends one of them."""
    return not _POOLS.isdisjoint(base.__module__ for base in pool.__mro__)


class ThreadPool(TaskPool):  # type: ignore[misc]
    """Threads. On stop the tasks that run are waited for until the process hurries; the rest is left behind.

    A worker takes no more than it has slots for. Celery's event loop sees a second later, at worst, that one is free;
    here the end of a task wakes it.
    """

    _hub: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: set[Future[Any]] = set()

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Hand a task to a thread."""
        result = super().on_apply(*args, **kwargs)
        self._running.add(result.f)
        result.f.add_done_callback(self._ended)
        return result

    def register_with_event_loop(self, hub: Any) -> None:
        """The loop that takes messages."""
        self._hub = hub

    def _ended(self, task: Future[Any]) -> None:
        self._running.discard(task)
        if self._hub is not None:
            self._hub.call_soon(lambda: None)  # it looks for messages by itself

    def on_stop(self) -> None:
        """Drop what did not start (it was not acknowledged), wait for what runs."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        hurry = self.app.worker_process.drain.hurry
        while (running := tuple(self._running)) and not hurry.is_set():
            wait(running, timeout=_LOOK_SECONDS)
