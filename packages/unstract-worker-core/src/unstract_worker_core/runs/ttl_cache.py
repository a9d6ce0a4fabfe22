"""A cache with a time limit, shared by the slots of a process: they ask about the same few executions."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

T = TypeVar("T")
_MOST = 1000


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
