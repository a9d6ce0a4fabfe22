"""Doorbells that ring nobody and remember everything."""

import threading
from collections.abc import Mapping, Sequence

from attrs import define, field, frozen

from unstract_worker_core.ledger import RunTask
from unstract_worker_core.statuses import RunKind

__all__ = ["RecordingDoorbells", "Ring"]


@frozen
class Ring:
    """One ring. `what`: ``start``, ``batch`` or ``callback``; a call for several batches is a ring each."""

    what: str
    run_id: str
    task: RunTask | None = None
    kind: RunKind | None = None
    epoch: int = 0
    batch: int = 0


@define(eq=False)
class RecordingDoorbells:
    """Doorbells (see `core.doorbells`) for tests; safe to use from several threads.

    Attributes:
        rings: what was rung, in order.
        depths: what `waiting` answers, by kind; 0 where it says nothing.
        starts: what `starts_waiting` answers.
    """

    rings: list[Ring] = field(factory=list)
    depths: Mapping[RunKind, int] = field(factory=dict)
    starts: int | None = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        """Record a start."""
        self._record(Ring("start", run_id, task=task, kind=kind))

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        """Record a ring for each batch."""
        self._record(*(Ring("batch", run_id, kind=kind, epoch=epoch, batch=batch) for batch in batches))

    def ring_callback(self, run_id: str) -> None:
        """Record a callback."""
        self._record(Ring("callback", run_id))

    def waiting(self, kind: RunKind) -> int:
        """The depth that the test set."""
        return self.depths.get(kind, 0)

    def starts_waiting(self) -> int | None:
        """The number that the test set."""
        return self.starts

    def of(self, what: str) -> tuple[Ring, ...]:
        """The rings of one sort."""
        with self._lock:
            return tuple(ring for ring in self.rings if ring.what == what)

    def clear(self) -> None:
        """Forget what was rung."""
        with self._lock:
            self.rings.clear()

    def _record(self, *rings: Ring) -> None:
        with self._lock:
            self.rings.extend(rings)
