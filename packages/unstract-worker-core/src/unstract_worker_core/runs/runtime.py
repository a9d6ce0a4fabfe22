"""What a task needs while it runs: one `Runtime` per process, handed to every step."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import uuid4

from attrs import Factory, define, field, frozen
from redis import Redis

from unstract_worker_core.config import Settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import LeaseKeeper, Ledger
from unstract_worker_core.observability.progress import mark_progress
from unstract_worker_core.observability.tracing import Traces
from unstract_worker_core.periodic import PeriodicThread
from unstract_worker_core.statuses import ExecutionStatus

# How soon a waiting file notices that the process drains; a signal handler cannot notify a condition.
_LOOK_SECONDS = 0.2
T = TypeVar("T")
_MOST = 1000


class IsolationLock:
    """A readers-writer lock of one process: `shared` files run together, an `exclusive` one runs alone.

    `patience`: seconds that a file waits to run alone; a file that hangs must not block all others.
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


@define
class _Entry(Generic[T]):
    value: T
    at: float
    asking_since: float | None = None


@define(eq=False)
class TtlCache(Generic[T]):
    """A per-process cache. Entries expire after `seconds`.

    While one thread refreshes an entry, other threads may read a value up to twice as old instead of waiting.
    """

    clock: Callable[[], float] = time.monotonic
    _entries: dict[str, _Entry[T]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def get(self, name: str, ask: Callable[[], T], *, seconds: float) -> T:
        """The value of the last `seconds` (0: never a cached one), else that of `ask`. Raises what `ask` raises."""
        now = self.clock()
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None:
                age = now - entry.at
                if age < seconds or (age < 2 * seconds and entry.asking_since is not None):
                    return entry.value
                entry.asking_since = now
        value = ask()
        with self._lock:
            if len(self._entries) >= _MOST:
                self._entries = {key: kept for key, kept in self._entries.items() if now - kept.at < seconds}
            self._entries[name] = _Entry(value, now)
        return value


if TYPE_CHECKING:
    from unstract_worker_core.backend import Backend
    from unstract_worker_core.observability.metrics import Metrics
    from unstract_worker_core.observability.progress import Progress
    from unstract_worker_core.ui_logs import LogEvents


@frozen
class Delivery:
    """A delivered task message.

    Attributes:
        task: registered task name.
        task_id: Celery's id of the message; the same for a redelivery.
        queue: where it came from, as far as the broker says.
        args: positional arguments as decoded (UUID objects included).
        kwargs: keyword arguments.
        retries: Celery's count of retries (chord mode).
        redelivered: whether the broker says that it delivers it again.
    """

    task: str
    task_id: str
    queue: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Factory(dict)
    retries: int = 0
    redelivered: bool = False


@define(kw_only=True, eq=False)
class Runtime:
    """Everything a task needs in one process.

    Attributes:
        keeper: holds the leases of what runs; it has its own connection to the ledger.
        isolation: whether files run side by side or one runs alone.
        draining: set once the process must end; steps hand back what they have not finished.
        statuses: of executions, as the backend gave them a moment ago.
        periodic: calls the actions that are due about every second while a batch runs.
    """

    settings: Settings
    metrics: "Metrics"
    backend: "Backend"
    ledger: Ledger
    keeper: LeaseKeeper
    doorbells: Doorbells
    platform_redis: Redis
    cache_redis: Redis
    progress: "Progress"
    log_events: "LogEvents"
    isolation: IsolationLock
    draining: threading.Event
    statuses: TtlCache[ExecutionStatus] = Factory(TtlCache)
    periodic: PeriodicThread = Factory(lambda: PeriodicThread(1.0))
    traces: Traces = Factory(Traces)

    def token(self) -> str:
        """A fresh claim token: it differs for each claim, and operators read the process from it."""
        return f"{self.settings.instance}:{os.getpid()}:{uuid4().hex}"
