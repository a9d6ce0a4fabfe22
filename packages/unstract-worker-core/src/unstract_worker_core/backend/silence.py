"""Calls that wait for the backend without a byte of a response: a thread of the backend can hang for good.

After a minute, and then each time twice as late, the log names the call with the ids that are bound to the task
(execution, file). Operators see the calls in the heartbeat of the process: `fleet`, `runs show`.
"""

import threading
import time
from collections.abc import Callable, Mapping

import structlog
from attrs import define, field, frozen

_SHOWN = {"execution_id": "execution", "file_execution_id": "file execution", "organization_id": "organization"}
_log = structlog.get_logger("unstract_worker_core.backend")


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
    """The silent calls of one process. `count` is called with 1 when a call becomes one, with -1 when it ends."""

    count: Callable[[int], None]
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
            self.count(1)
        _log.warning(
            "the backend has not answered yet", operation=operation, request_id=request_id, seconds=round(seconds)
        )

    def ended(self, request_id: str) -> None:
        """A response came, or the call is given up."""
        if request_id in self._calls:
            with self._lock:
                del self._calls[request_id]
            self.count(-1)

    def shown(self) -> tuple[str, ...]:
        """Each silent call in words, with its execution and file."""
        now = self.clock()
        with self._lock:
            return tuple(call.shown(now) for call in self._calls.values())
