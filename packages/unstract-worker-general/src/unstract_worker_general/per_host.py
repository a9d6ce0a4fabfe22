"""Places for deliveries: so many to one host at a time, so that a slow receiver delays only its own webhooks.

Counted in this process. A delivery that gets no place stands in line: it is handed back to the ledger for a while, and
rung for as soon as a place is free.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, field, frozen

from unstract_worker_core.config import Settings

__all__ = ["HostPlaces", "Limits", "Place"]

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


@frozen
class Place:
    """What was asked for. `taken`: it may be delivered now. `wait`: else, seconds to stand in line at most."""

    taken: bool
    wait: float = 0.0


@define(eq=False)
class HostPlaces:
    """The places of one process."""

    _busy: Counter[str] = field(factory=Counter, init=False)
    _lines: dict[str, dict[str, None]] = field(factory=dict, init=False)  # runs by host, in order
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    @contextmanager
    def place(self, host: str, run_id: str, limits: Limits, call: Callable[[str], None]) -> Iterator[Place]:
        """A place for a delivery, or one in line. A place is given back when the block is left.

        `call` is then told the run that may have it, if one stands in line; it must not raise.
        """
        place = self._take(host, run_id, limits)
        try:
            yield place
        finally:
            called = self._give_back(host, limits) if place.taken else None
            if called is not None:
                call(called)

    def _take(self, host: str, run_id: str, limits: Limits) -> Place:
        with self._lock:
            if self._free(host, limits):
                self._busy[host] += 1
                self._leave_line(host, run_id)
                return Place(taken=True)
            standing = sum(map(len, self._lines.values()))
            if standing < _LONGEST:
                self._lines.setdefault(host, {})[run_id] = None
            return Place(taken=False, wait=min(_FIRST + _EACH * standing, _LAST))

    def _give_back(self, host: str, limits: Limits) -> str | None:
        with self._lock:
            self._busy[host] -= 1
            if not self._busy[host]:
                del self._busy[host]
            wanted = next((each for each in self._lines if self._free(each, limits)), None)
            if wanted is None:
                return None
            called = next(iter(self._lines[wanted]))
            self._leave_line(wanted, called)
            return called

    def _leave_line(self, host: str, run_id: str) -> None:
        line = self._lines.pop(host, {})
        line.pop(run_id, None)
        if line:
            self._lines[host] = line  # behind the other hosts: they take turns

    def _free(self, host: str, limits: Limits) -> bool:
        return self._busy[host] < limits.host and self._busy.total() < limits.total
