"""Ends a process with a stuck slot, drains one that uses too much memory, and reports how long work has been due."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from attrs import define, field

from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.worker.drain import within

_STATM = Path("/proc/self/statm")
_HAND_BACK_SECONDS = 5.0
_PAUSE_SECONDS = 5.0

log = get_logger(__name__)


def resident_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not say."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _end(code: int) -> NoReturn:
    os._exit(code)


@define(eq=False)
class Watchdog:
    """Looks every few seconds. A stuck slot ends the process, for its supervisor to restart; too much memory drains it.

    Attributes:
        drain: begins a drain.
        waiting: messages in this worker's queues, None while the broker cannot be asked.
        threads: whether tasks run in this process's threads; a prefork child has limits of its own.
        end: ends the process with an exit code, at once.
    """

    runtime: Runtime
    drain: Callable[[], None]
    waiting: Callable[[], int | None]
    threads: bool = True
    end: Callable[[int], object] = _end
    memory_mb: Callable[[], float] = resident_mb
    _stop: threading.Event = field(factory=threading.Event)
    _waiting_since: float | None = None

    def start(self) -> None:
        """Look until stopped."""
        threading.Thread(target=self._loop, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()

    def look(self) -> None:
        """Look once."""
        self._report_due()
        if not self.threads:
            return
        limits = self.runtime.settings.process
        stuck = self.runtime.progress.stuck(limits.stuck_slot_seconds)
        if stuck:
            idle = round(stuck[0].idle_seconds)
            log.critical("a slot is stuck: ending the process", task=stuck[0].task, idle_seconds=idle)
            # What is stuck is charged, or it would come back and be stuck for ever.
            hanging = [slot.thread for slot in stuck]
            within(_HAND_BACK_SECONDS, lambda: self.runtime.keeper.hand_back_all(but=hanging))
            self.end(1)
        elif (used := self.memory_mb()) > limits.max_memory_mb and not self.runtime.draining.is_set():
            log.warning("memory above its limit: draining", used_mb=round(used), limit_mb=limits.max_memory_mb)
            self.drain()

    def _report_due(self) -> None:
        # Work is due to this worker while messages wait in its own queues: the ledger's index also holds what only
        # other workers can claim, and moves on whenever the sweeper rings.
        if not self.waiting():
            self._waiting_since = None
            self.runtime.progress.due(None)
            return
        now = time.monotonic()
        self._waiting_since = self._waiting_since or now
        self.runtime.progress.due(now - self._waiting_since)

    def _loop(self) -> None:
        pause = min(_PAUSE_SECONDS, self.runtime.settings.process.stuck_slot_seconds / 4)
        while not self._stop.wait(pause):
            self.look()
