"""What was asked a moment ago, shared by the slots of a process: they all wonder about the same few executions."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["TtlCache"]

T = TypeVar("T")
_MOST = 1000


@define
class _Entry(Generic[T]):
    value: T
    at: float
    asking_since: float | None = None


@define(eq=False)
class TtlCache(Generic[T]):
    """Answers by name, each at most so old. While one thread asks anew the others do with twice the age, not wait."""

    clock: Callable[[], float] = time.monotonic
    _entries: dict[str, _Entry[T]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def get(self, name: str, ask: Callable[[], T], *, seconds: float) -> T:
        """The answer of the last `seconds` (0: never an old one), else what `ask` says. Raises what `ask` raises."""
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
