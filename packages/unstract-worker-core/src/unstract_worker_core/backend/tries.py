"""The tries of one call: whether and when to go on, and what it amounts to when they are used up."""

import random
from collections.abc import Callable

from unstract_worker_core.backend.operations import Operation, Repeat
from unstract_worker_core.backend.verdicts import Passing
from unstract_worker_core.config import BackendSettings
from unstract_worker_core.errors import BackendError, BackendUnavailable, OutcomeUnknown

LONGEST_WAIT_SECONDS = 30.0


class Tries:
    """State of one call while it is tried, `seconds` in all; for one thread."""

    def __init__(
        self, operation: Operation, settings: BackendSettings, seconds: float, clock: Callable[[], float]
    ) -> None:
        self.operation = operation
        self._longest = seconds if operation.repeat is Repeat.ONCE else settings.timeout
        self._backoff = settings.retry_backoff
        self._clock = clock
        self._end = clock() + seconds
        self._failed = 0
        self._applied = False

    def seconds_of_next(self) -> float:
        """The time that the next try may take."""
        return max(0.0, min(self._longest, self._end - self._clock()))

    def pause_after(self, error: Exception) -> float | bool:
        """Seconds until the next try; False: no next try."""
        if not isinstance(error, Passing):
            return False
        self._failed += 1
        self._applied = self._applied or error.applied
        repeat = self.operation.repeat
        if repeat is Repeat.ONCE and error.status is not None:
            return False
        if error.applied and repeat in (Repeat.LOOK_FIRST, Repeat.ONCE):
            return False
        grown = self._backoff * 2 ** (self._failed - 1) if error.wait is None else error.wait
        pause = min(grown, LONGEST_WAIT_SECONDS) + random.uniform(0, self._backoff)
        return False if self._clock() + pause >= self._end else pause

    def error(self, last: Passing, request_id: str) -> BackendError:
        """What the call amounts to; an effect that any try may have had is an unknown outcome."""
        unknown = (self._applied or last.applied) and self.operation.repeat is not Repeat.READ
        kind = OutcomeUnknown if unknown else BackendUnavailable
        return kind(last.reason, endpoint=self.operation.name, status=last.status, request_id=request_id)
