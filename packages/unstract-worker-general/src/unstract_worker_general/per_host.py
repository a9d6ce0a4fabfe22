"""Places for deliveries: so many to one host at a time, so that a slow receiver delays only its own webhooks.

Counted in this process. A delivery that gets no place is handed back to the ledger for a while and stands in line here:
it is rung for as soon as a place is free. The line is a shortcut; what it forgets, the ledger rings for.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field, frozen

from unstract_worker_core.config import Settings

__all__ = ["HostPlaces", "Limits"]

# What is remembered in all; more only wait for the ledger to ring.
_LONGEST = 10_000
# Seconds after which the ledger rings for what nobody called out of the line.
_FIRST, _EACH, _LAST = 10.0, 0.1, 300.0


@frozen
class Limits:
    """How many deliveries may be under way: to one host, and in all."""

    host: int
    total: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """One host gets half of the slots at most, and a quarter stays free of deliveries: for starts and schedules."""
        slots = settings.process.concurrency
        return cls(min(settings.webhook.per_host, max(1, slots // 2)), max(1, slots - slots // 4))


@define(eq=False)
class HostPlaces:
    """The places of one process, and who stands in line for one."""

    _busy: Counter[str] = field(factory=Counter, init=False)
    _lines: dict[str, dict[str, None]] = field(factory=dict, init=False)  # runs by host, in order
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @contextmanager
    def place(self, host: str, run_id: str, limits: Limits) -> Iterator[bool]:
        """Whether there is a place for this delivery; it is held until the block is left."""
        with self._lock:
            taken = self._free(host, limits)
            self._busy[host] += taken
            if taken:
                self._leave_line(host, run_id)
        try:
            yield taken
        finally:
            with self._lock:
                self._busy[host] -= taken
                if not self._busy[host]:
                    del self._busy[host]

    def wait_seconds(self) -> float:
        """How long a delivery should rest that is not called out of the line before."""
        with self._lock:
            return min(_FIRST + _EACH * self._standing(), _LAST)

    def stand_in_line(self, host: str, run_id: str) -> None:
        """To be called for a run that was handed back, not before: until then nobody could take it up."""
        with self._lock:
            if self._standing() < _LONGEST:
                self._lines.setdefault(host, {})[run_id] = None

    def next_in_line(self, limits: Limits) -> str | None:
        """The run that there is a place for now, if any; it stands in line no more. Hosts take turns."""
        with self._lock:
            host = next((each for each in self._lines if self._free(each, limits)), None)
            if host is None:
                return None
            called = next(iter(self._lines[host]))
            self._leave_line(host, called)
            return called

    def _standing(self) -> int:
        return sum(map(len, self._lines.values()))

    def _leave_line(self, host: str, run_id: str) -> None:
        line = self._lines.pop(host, {})
        line.pop(run_id, None)
        if line:
            self._lines[host] = line  # behind the other hosts: they take turns

    def _free(self, host: str, limits: Limits) -> bool:
        return self._busy[host] < limits.host and self._busy.total() < limits.total
