"""Renews leases: one thread per process renews every lease after a third of its length.

A worker that was paused past its lease learns it here: `Held.check` raises LeaseLost before the next effect, by
the local monotonic clock, even while Redis cannot be asked.
"""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import structlog

from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger.batches import BatchClaim, Batches
from unstract_worker_core.ledger.runs import RunClaim, Runs
from unstract_worker_core.periodic import PeriodicThread

log = structlog.get_logger(__name__)


class Held:
    """One held lease, of the thread that made it. `check()` before each effect."""

    def __init__(
        self,
        what: str,
        seconds: float,
        renew: Callable[[], bool],
        release: Callable[[], None],
        *,
        asked_at: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what = what
        self._seconds = seconds
        self._renew = renew
        self._release = release
        self._clock = clock
        self.thread = threading.get_ident()
        self._lost = False
        self._good_until = (clock() if asked_at is None else asked_at) + seconds

    @property
    def lost(self) -> bool:
        """Whether another worker may own the work."""
        return self._lost or self._clock() >= self._good_until

    def check(self) -> None:
        """Raise LeaseLost unless the lease is certainly ours."""
        if self.lost:
            raise LeaseLost(f"{self.what}: the lease lapsed")

    def renew(self) -> None:
        """Extend the lease. Raises LedgerError when Redis cannot be asked; the lease then runs down."""
        asked = self._clock()
        if self._renew():
            self._good_until = asked + self._seconds
        else:
            self._lost = True

    def hand_back(self) -> None:
        """Give the work up at once; what is in flight must not be recorded any more."""
        self._lost = True
        self._release()


class LeaseKeeper:
    """Holds leases for the steps of one process. Use its own ledger connection, so that no long call delays it."""

    def __init__(
        self,
        runs: Runs,
        batches: Batches,
        *,
        lease_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[int], None] = lambda held: None,
    ) -> None:
        """`observe` gets the number of held leases whenever it changes."""
        self._runs = runs
        self._batches = batches
        self._seconds = lease_seconds
        self._clock = clock
        self._observe = observe
        self._held: set[Held] = set()
        self._guard = threading.Lock()
        self._renewals = PeriodicThread(lease_seconds / 3)

    @contextmanager
    def run(self, claim: RunClaim) -> Iterator[Held]:
        """Hold a run's lease while the block works."""
        what, release = f"run {claim.run_id}", lambda: self._runs.release(claim, reason="handed back")
        with self._holding(what, claim.asked_at, lambda: self._runs.renew(claim), release) as held:
            yield held

    @contextmanager
    def batch(self, claim: BatchClaim) -> Iterator[Held]:
        """Hold a batch's lease while the block works."""
        what, release = f"run {claim.run_id} batch {claim.batch}", lambda: self._batches.release(claim)
        with self._holding(what, claim.asked_at, lambda: self._batches.renew(claim), release) as held:
            yield held

    @contextmanager
    def _holding(
        self, what: str, asked_at: float, renew: Callable[[], bool], release: Callable[[], None]
    ) -> Iterator[Held]:
        held = Held(what, self._seconds, renew, release, asked_at=asked_at, clock=self._clock)
        with self._guard:
            self._held.add(held)
            self._observe(len(self._held))
        try:
            with self._renewals.calling(partial(_renew, held)):
                yield held
        finally:
            with self._guard:
                self._held.discard(held)
                self._observe(len(self._held))

    def held(self) -> tuple[Held, ...]:
        """What this process holds now."""
        with self._guard:
            return tuple(self._held)

    def hand_back_all(self, *, except_threads: Collection[int] = ()) -> int:
        """Release every lease without charging anything; returns how many. For drains and the watchdog.

        Those of `except_threads` are left to lapse, which charges the files in flight there.
        """
        given = 0
        for held in self.held():
            if held.thread in except_threads:
                continue
            with suppress(LedgerError):  # Redis is away: the lease lapses by itself
                held.hand_back()
                given += 1
        return given


def _renew(held: Held) -> None:
    if held.lost:
        return
    try:
        held.renew()
    except LedgerError:
        return  # tried again after a third of the lease; check() fails once it ran down
    except Exception:  # thread boundary: a lease that cannot be renewed must not keep the others from it
        log.exception("renewing failed unexpectedly", held=held.what)
