"""Limits of concurrent deliveries, to one host and in all, so that a slow receiver delays only its own webhooks.

Counted in this process. A delivery beyond the limit goes back to the ledger for a while and is queued here: its
doorbell is rung as soon as the limit allows it. The queue is only faster than the ledger, which rings for lost entries.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field, frozen

from unstract_worker_core.config import Settings

__all__ = ["HostLimiter", "HostLimits"]

_LONGEST_QUEUE = 10_000
# Seconds until the ledger rings for a waiting delivery: at least, more for each other waiting one, at most.
_FIRST, _EACH, _LAST = 10.0, 0.1, 300.0


@frozen
class HostLimits:
    """How many deliveries may run: to one host, in all."""

    host: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> "HostLimits":
        """One host gets at most half of the slots. A quarter of all slots is kept for starts and schedules."""
        slots = settings.process.concurrency
        return cls(min(settings.webhook.per_host, max(1, slots // 2)), max(1, slots - slots // 4))


@define(eq=False)
class HostLimiter:
    """The running and the waiting deliveries of one process."""

    _running: Counter[str] = field(factory=Counter, init=False)
    _waiting: dict[str, dict[str, None]] = field(factory=dict, init=False)  # runs by host, in order
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @contextmanager
    def acquire(self, host: str, run_id: str, limits: HostLimits) -> Iterator[bool]:
        """Yields whether the delivery may run now; if so, it counts until the block is left."""
        with self._lock:
            allowed = self._allowed(host, limits)
            self._running[host] += allowed
            if allowed:
                self._remove(host, run_id)
        try:
            yield allowed
        finally:
            with self._lock:
                self._running[host] -= allowed
                if not self._running[host]:
                    del self._running[host]

    def wait_seconds(self) -> float:
        """Seconds until the ledger should ring for a delivery that waits."""
        with self._lock:
            return min(_FIRST + _EACH * self._length(), _LAST)

    def enqueue(self, host: str, run_id: str) -> None:
        """Let a run wait. Call it after the run was released, so that any worker can claim it."""
        with self._lock:
            if self._length() < _LONGEST_QUEUE:
                self._waiting.setdefault(host, {})[run_id] = None

    def next_waiting(self, limits: HostLimits) -> str | None:
        """Remove and return a run that may be delivered now, if any. Hosts take turns."""
        with self._lock:
            host = next((each for each in self._waiting if self._allowed(each, limits)), None)
            if host is None:
                return None
            run_id = next(iter(self._waiting[host]))
            self._remove(host, run_id)
            return run_id

    def _length(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _remove(self, host: str, run_id: str) -> None:
        queue = self._waiting.pop(host, {})
        queue.pop(run_id, None)
        if queue:
            self._waiting[host] = queue  # behind the other hosts: they take turns

    def _allowed(self, host: str, limits: HostLimits) -> bool:
        return self._running[host] < limits.host and self._running.total() < limits.total
