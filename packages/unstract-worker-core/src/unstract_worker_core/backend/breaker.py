"""A circuit breaker for the backend: when it is away, calls fail at once instead of holding slots.

Own and small, because the kept libraries do not serve threads: pybreaker's `call()` holds one lock over the whole
call, so a pool of threads takes turns; its `calling()` does not, but then it lets every waiting thread through once
the time is over, as purgatory does, which has no lock at all. Both measure that time on the wall clock, which jumps.
"""

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """Closed: calls pass. Open: they do not. Half-open: one trial decides, or may be made now."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class BreakerOpen(Exception):
    """No call now; the next trial is in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"next trial in {seconds:.0f} s")


class Breaker:
    """Opens after `threshold` failures in a row; after `recovery_seconds` one call is let through as a trial.

    The trial holds the door for another `recovery_seconds`: one that never reports (its thread died, it takes
    an hour) keeps nobody out for longer than that. Any success closes the breaker. `on_change` hears the new
    state.
    """

    def __init__(
        self,
        threshold: int,
        recovery_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState], None] = lambda state: None,
    ) -> None:
        self._threshold = threshold
        self._recovery = recovery_seconds
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._failures = 0
        self._next_trial: float | None = None
        self._trial_under_way = False

    def admit(self) -> bool:
        """Ask to make a call; True: it is the trial. Raises BreakerOpen."""
        if self._closed():  # as nearly always
            return False
        with self._lock:
            if self._next_trial is None:
                return False
            wait = self._next_trial - self._clock()
            if wait > 0:
                raise BreakerOpen(wait)
            self._next_trial = self._clock() + self._recovery
            self._trial_under_way = True
            return True

    def succeeded(self) -> None:
        """The backend answered, whatever it said."""
        if self._closed() and not self._failures:  # nothing to forget; a failure beside it counts as later
            return
        with self._lock:
            was_closed = self._next_trial is None
            self._failures, self._next_trial, self._trial_under_way = 0, None, False
        if not was_closed:
            self._on_change(BreakerState.CLOSED)

    def failed(self, *, trial: bool = False) -> None:
        """The backend could not be reached. A late failure of a call from before the opening changes nothing."""
        with self._lock:
            self._failures += 1
            opens = self._next_trial is None and self._failures >= self._threshold
            if opens or trial:
                self._next_trial = self._clock() + self._recovery
                self._trial_under_way = False
        if opens or trial:
            self._on_change(BreakerState.OPEN)

    def _closed(self) -> bool:
        """Closed at this moment: one read, which needs no lock."""
        return self._next_trial is None

    @property
    def state(self) -> BreakerState:
        """The state now."""
        with self._lock:
            if self._next_trial is None:
                return BreakerState.CLOSED
            due = self._next_trial <= self._clock()
            return BreakerState.HALF_OPEN if due or self._trial_under_way else BreakerState.OPEN

    def seconds_until_trial(self) -> float:
        """How long to step aside; 0 when a call may be made now."""
        with self._lock:
            return 0.0 if self._next_trial is None else max(0.0, self._next_trial - self._clock())
