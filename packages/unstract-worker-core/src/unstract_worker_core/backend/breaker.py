"""Detects that the backend is away: a circuit breaker for all threads, and a record of calls without a response.

The breaker is our own, because the maintained libraries do not fit threads: pybreaker's `call()` holds one lock over
the whole call, so a pool of threads takes turns; its `calling()` does not, but then it lets every waiting thread
through once the time is over, as purgatory does, which has no lock at all. Both measure that time on the wall clock,
which jumps.

A thread of the backend can hang for good. So after a minute without a byte, and then each time twice as late, the log
names the call with the ids that are bound to the task (execution, file). Operators see the calls in the heartbeat of
the process: `fleet`, `runs show`.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import structlog
from attrs import define, field, frozen

if TYPE_CHECKING:  # see `observability.metrics`
    from unstract_worker_core.observability.metrics import Metrics

_FIRST_INTERVAL_SECONDS = 5.0
_SHOWN = {"execution_id": "execution", "file_execution_id": "file execution", "organization_id": "organization"}
_log = structlog.get_logger("unstract_worker_core.backend")


class BreakerState(StrEnum):
    """Closed: calls pass. Open: they do not. Half-open: a trial is under way, or may be made now."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpen(Exception):
    """No call now; the next trial is in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"next trial in {seconds:.0f} s")


class Breaker:
    """Opens after `threshold` failures in a row; from then on single calls are let through as trials.

    The first trial comes after 5 seconds, each later one after twice the time, up to `recovery_seconds`, with jitter,
    so that the workers of a fleet take turns. A trial that does not end does not prevent the next one. Any success
    closes the breaker, and all who wait for it go on at once.
    """

    def __init__(
        self,
        threshold: int,
        recovery_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState], None] = lambda state: None,
    ) -> None:
        """`on_change` is called with the new state."""
        self._threshold = threshold
        self._longest = recovery_seconds
        self._clock = clock
        self._on_change = on_change
        self._changed = threading.Condition()
        self._failures = 0
        self._interval = 0.0
        self._next_trial: float | None = None
        self._trial_under_way = False

    def admit(self, wait_seconds: float = 0.0) -> bool:
        """Ask to make a call; True: it is a trial.

        Args:
            wait_seconds: longest time to wait here until the breaker closes or a trial is due.

        Raises:
            BreakerOpen: no call may be made in this time.
        """
        if self._closed():  # as nearly always
            return False
        ends = self._clock() + wait_seconds
        with self._changed:
            while self._next_trial is not None:
                now = self._clock()
                if now >= self._next_trial:
                    self._schedule_trial()
                    self._trial_under_way = True
                    return True
                if now >= ends:
                    raise BreakerOpen(self._next_trial - now)
                self._changed.wait(min(ends, self._next_trial) - now)
        return False

    def succeeded(self) -> None:
        """The backend answered, whatever it said."""
        if self._closed() and not self._failures:  # a failure at the same moment counts as later
            return
        with self._changed:
            was_closed = self._next_trial is None
            self._failures, self._next_trial, self._trial_under_way = 0, None, False
            self._changed.notify_all()
        if not was_closed:
            self._on_change(BreakerState.CLOSED)

    def failed(self) -> None:
        """The backend could not be reached. While the breaker is open this only ends the trial."""
        with self._changed:
            self._failures += 1
            opens = self._next_trial is None and self._failures >= self._threshold
            self._trial_under_way = False
            if opens:
                self._interval = _FIRST_INTERVAL_SECONDS / 2
                self._schedule_trial()
        if opens:
            self._on_change(BreakerState.OPEN)

    @property
    def state(self) -> BreakerState:
        """The state now."""
        with self._changed:
            if self._next_trial is None:
                return BreakerState.CLOSED
            due = self._next_trial <= self._clock()
            return BreakerState.HALF_OPEN if due or self._trial_under_way else BreakerState.OPEN

    def seconds_until_trial(self) -> float:
        """How long to step aside; 0 when a call may be made now."""
        with self._changed:
            return 0.0 if self._next_trial is None else max(0.0, self._next_trial - self._clock())

    def _closed(self) -> bool:
        """Closed at this moment: one read, which needs no lock."""
        return self._next_trial is None

    def _schedule_trial(self) -> None:
        self._interval = min(2 * self._interval, self._longest)
        self._next_trial = self._clock() + self._interval * random.uniform(0.8, 1.2)


@frozen
class _SilentCall:
    operation: str
    request_id: str
    since: float
    ids: Mapping[str, object]

    def shown(self, now: float) -> str:
        about = "".join(f", {name} {self.ids[key]}" for key, name in _SHOWN.items() if key in self.ids)
        return f"{self.operation} has not been answered for {now - self.since:.0f} s{about}, request {self.request_id}"


@define(eq=False)
class SilentCalls:
    """The silent calls of one process; `metrics` show their current number."""

    metrics: "Metrics | None" = None
    clock: Callable[[], float] = time.monotonic
    _calls: dict[str, _SilentCall] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def notice(self, operation: str, request_id: str, seconds: float) -> None:
        """A call of this thread has been silent for so long."""
        ids = structlog.contextvars.get_contextvars()
        call = _SilentCall(operation, request_id, self.clock() - seconds, ids)
        with self._lock:
            fresh = request_id not in self._calls
            self._calls[request_id] = call
        if fresh:
            self._count(1)
        _log.warning(
            "the backend has not answered yet", operation=operation, request_id=request_id, seconds=round(seconds)
        )

    def ended(self, request_id: str) -> None:
        """A response came, or the call is not tried again."""
        if request_id in self._calls:
            with self._lock:
                del self._calls[request_id]
            self._count(-1)

    def shown(self) -> tuple[str, ...]:
        """Each silent call in words, with its execution and file."""
        now = self.clock()
        with self._lock:
            return tuple(call.shown(now) for call in self._calls.values())

    def _count(self, change: int) -> None:
        if self.metrics is not None:
            self.metrics.backend_silent_calls.inc(change)
