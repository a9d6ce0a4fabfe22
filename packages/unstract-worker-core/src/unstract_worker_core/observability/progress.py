"""Progress of this process: claims made, slots in use, last progress of each slot."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

from attrs import define, frozen

from unstract_worker_core.observability.health import CheckResult

if TYPE_CHECKING:  # see `observability.metrics`
    from prometheus_client import Counter


@define(eq=False)
class _Slot:
    task: str
    clock: Callable[[], float]
    progressed_at: float
    thread: int


_current: ContextVar[_Slot | None] = ContextVar("slot", default=None)


def mark_progress() -> None:
    """The current slot got a step further; nothing outside a slot."""
    slot = _current.get()
    if slot is not None:
        slot.progressed_at = slot.clock()


def counted_as_progress(ledger_steps: "Counter") -> Callable[[str, str], None]:
    """For the ledger to call with each attempt of a step and its outcome: it is counted, and the slot got further."""
    counter_of = cache(ledger_steps.labels)

    def observe(step: str, outcome: str) -> None:
        mark_progress()
        counter_of(step, outcome).inc()

    return observe


@frozen
class SlotState:
    """A slot at work: what runs in it, the seconds since it last progressed, and in which thread."""

    task: str
    idle_seconds: float
    thread: int


class Progress:
    """Thread-safe record of a worker's progress, from which liveness and the watchdog are decided.

    A process is alive unless all three hold: work has been due for `patience` seconds, this process made no
    claim for as long, and it has a free slot. An unreachable backend or Redis alone never makes it dead:
    without a recent report of what is due it counts as alive.
    """

    def __init__(self, *, concurrency: int, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.concurrency = concurrency
        self._patience, self._clock = patience, clock
        self._lock = threading.Lock()
        self._slots: set[_Slot] = set()
        self._claimed_at = clock()
        self._due: tuple[float, float] | None = None  # when it was reported, and the age then

    @property
    def slots_in_use(self) -> int:
        """Tasks at work."""
        with self._lock:
            return len(self._slots)

    @property
    def idle_seconds(self) -> float:
        """Time since the last claim or the last step forward of any slot."""
        with self._lock:
            latest = max([self._claimed_at, *(slot.progressed_at for slot in self._slots)])
            return self._clock() - latest

    def claim_made(self) -> None:
        """Work was claimed."""
        with self._lock:
            self._claimed_at = self._clock()

    def due(self, seconds: float | None) -> None:
        """Report how long the oldest item that this worker could claim has been due; None: nothing is."""
        with self._lock:
            self._due = None if seconds is None else (self._clock(), seconds)

    @contextmanager
    def slot(self, task: str) -> Iterator[None]:
        """Occupy a slot while a task runs: `mark_progress` is about this one inside."""
        slot = _Slot(task, self._clock, self._clock(), threading.get_ident())
        with self._lock:
            self._slots.add(slot)
        token = _current.set(slot)
        try:
            yield
        finally:
            _current.reset(token)
            with self._lock:
                self._slots.discard(slot)

    def slots(self) -> tuple[SlotState, ...]:
        """The slots at work, the one without progress for longest first."""
        with self._lock:
            now = self._clock()
            states = [SlotState(slot.task, now - slot.progressed_at, slot.thread) for slot in self._slots]
        return tuple(sorted(states, key=lambda state: -state.idle_seconds))

    def stuck(self, seconds: float) -> tuple[SlotState, ...]:
        """Slots without progress for longer than `seconds`: the watchdog's business."""
        return tuple(state for state in self.slots() if state.idle_seconds > seconds)

    def alive(self) -> CheckResult:
        """Whether the process is alive."""
        slots = self.slots()
        with self._lock:
            now, due = self._clock(), self._due
            waited = now - self._claimed_at
        recent = due is not None and now - due[0] <= self._patience
        overdue = due is not None and recent and due[1] > self._patience
        dead = overdue and waited > self._patience and len(slots) < self.concurrency
        idle = f", longest without progress {slots[0].idle_seconds:.0f} s" if slots else ""
        detail = f"{len(slots)} of {self.concurrency} slots in use{idle}, last claim {waited:.0f} s ago"
        return CheckResult("progress", not dead, f"{detail}, but work is due" if dead else detail)
