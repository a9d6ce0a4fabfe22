"""Progress of this process: claims made, slots in use, last progress of each slot."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attrs import define, frozen

from unstract_worker_core.observability.health import CheckResult

_current: ContextVar[Callable[[], None] | None] = ContextVar("progress_of_slot", default=None)


@contextmanager
def progressing(mark: Callable[[], None]) -> Iterator[None]:
    """Let `mark_progress` reach this slot while the block runs."""
    token = _current.set(mark)
    try:
        yield
    finally:
        _current.reset(token)


def mark_progress() -> None:
    """The current slot got a step further; nothing outside a slot."""
    mark = _current.get()
    if mark is not None:
        mark()


@frozen
class SlotState:
    """A slot at work: what runs in it, in which thread, and the seconds since it last progressed."""

    number: int
    task: str
    idle_seconds: float
    thread: int = 0


@define(eq=False)
class _Slot:
    task: str
    progressed_at: float
    thread: int


class Progress:
    """Thread-safe record of a worker's progress, from which liveness and the watchdog are decided.

    A process is alive unless all three hold: work has been due for `patience` seconds, this process made no
    claim for as long, and it has a free slot. An unreachable backend or Redis alone never makes it dead:
    without a recent report of what is due it counts as alive.
    """

    def __init__(self, *, concurrency: int, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._concurrency, self._patience, self._clock = concurrency, patience, clock
        self._lock, self._numbers = threading.Lock(), itertools.count(1)
        self._slots: dict[int, _Slot] = {}
        self._claimed_at = clock()
        self._due: tuple[float, float] | None = None  # when it was reported, and the age then

    @property
    def slots_in_use(self) -> int:
        """Tasks at work."""
        with self._lock:
            return len(self._slots)

    @property
    def concurrency(self) -> int:
        """Slots that there are."""
        return self._concurrency

    @property
    def idle_seconds(self) -> float:
        """Time since the last claim or the last step forward of any slot."""
        with self._lock:
            latest = max([self._claimed_at, *(slot.progressed_at for slot in self._slots.values())])
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
    def slot(self, task: str) -> Iterator[Callable[[], None]]:
        """Occupy a slot while a task runs; call what it gives at each step forward."""
        slot = _Slot(task, self._clock(), threading.get_ident())
        with self._lock:
            number = next(self._numbers)
            self._slots[number] = slot

        def progressed() -> None:
            slot.progressed_at = self._clock()

        try:
            yield progressed
        finally:
            with self._lock:
                del self._slots[number]

    def slots(self) -> tuple[SlotState, ...]:
        """The slots at work, the one without progress for longest first."""
        with self._lock:
            now = self._clock()
            states = [
                SlotState(number, slot.task, now - slot.progressed_at, slot.thread)
                for number, slot in self._slots.items()
            ]
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
        dead = overdue and waited > self._patience and len(slots) < self._concurrency
        idle = f", longest without progress {slots[0].idle_seconds:.0f} s" if slots else ""
        detail = f"{len(slots)} of {self._concurrency} slots in use{idle}, last claim {waited:.0f} s ago"
        return CheckResult("progress", not dead, f"{detail}, but work is due" if dead else detail)
