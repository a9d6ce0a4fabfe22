"""Counts calls by worker and route, and notes when the phase of the files began and ended."""

import re

from attrs import define, field, frozen

__all__ = ["Call", "Counting", "call_of"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")
FILES, CALLBACK = "file-processing", "callback"


@frozen
class Call:
    """A call: who made it (the first segment of its path), the path below `internal/` and its route."""

    worker: str
    path: str
    route: str


def call_of(method: str, target: str) -> Call:
    """The call that a request line makes; `target` is `/WORKER/internal/PATH?QUERY`."""
    where = target.partition("?")[0]
    worker, _, path = where.lstrip("/").partition("/internal/")
    return Call(worker, path, f"{method} {_HASH.sub('{hash}', _UUID.sub('{id}', path))}")


@define
class Counting:
    """Counts since the last reset. The phase of the files lasts from the last call before file-processing's first
    one until the callback worker's first one after it, on the monotonic clock, in seconds. `spans`: when the first
    and the last call of each worker were answered."""

    calls: dict[str, dict[str, int]] = field(factory=dict)
    ended: dict[str, int] = field(factory=dict)
    last_end: float = 0.0
    opened: float | None = None
    closed: float | None = None
    spans: dict[str, tuple[float, float]] = field(factory=dict)

    def begins(self, call: Call, now: float) -> None:
        """A call has arrived."""
        routes = self.calls.setdefault(call.worker, {})
        routes[call.route] = routes.get(call.route, 0) + 1
        if call.worker == FILES and self.opened is None:
            self.opened = self.last_end or now
        if call.worker == CALLBACK and self.opened is not None and self.closed is None:
            self.closed = now

    def ends(self, call: Call, now: float) -> None:
        """A call was answered."""
        self.ended[call.worker] = self.ended.get(call.worker, 0) + 1
        self.spans[call.worker] = (self.spans.get(call.worker, (now, now))[0], now)
        if self.opened is None:
            self.last_end = now

    @property
    def phase_seconds(self) -> float | None:
        """How long the phase of the files took; None while it lasts."""
        return None if self.opened is None or self.closed is None else self.closed - self.opened
