"""Ends a process with a stuck slot, drains one that uses too much memory, and reports how long work has been due."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.periodic import PeriodicService
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


class Watchdog(PeriodicService):
    """A stuck slot ends the process, for its supervisor to restart; too much memory drains it."""

    def __init__(
        self,
        runtime: Runtime,
        drain: Callable[[], None],
        waiting: Callable[[], int | None],
        *,
        threads: bool = True,
        memory_mb: Callable[[], float] = resident_mb,
    ) -> None:
        """Nothing runs yet.

        Args:
            drain: begins a drain.
            waiting: messages in this worker's queues, None while the broker cannot be asked.
            threads: whether tasks run in this process's threads; a prefork child has limits of its own.
        """
        super().__init__("watchdog", min(_PAUSE_SECONDS, runtime.settings.process.stuck_slot_seconds / 4))
        self._runtime, self._drain, self._waiting = runtime, drain, waiting
        self._threads, self._memory_mb = threads, memory_mb
        self._waiting_since: float | None = None

    def stop(self) -> None:
        """Stop, without waiting: the broker may be away."""
        self.stopping.set()

    def tick(self) -> None:
        """Look once."""
        self._report_due()
        if not self._threads:
            return
        limits = self._runtime.settings.process
        stuck = self._runtime.progress.stuck(limits.stuck_slot_seconds)
        if stuck:
            idle = round(stuck[0].idle_seconds)
            log.critical("a slot is stuck: ending the process", task=stuck[0].task, idle_seconds=idle)
            # The stuck work is charged, or it would come back and be stuck again for ever.
            hanging = [slot.thread for slot in stuck]
            within(_HAND_BACK_SECONDS, lambda: self._runtime.keeper.hand_back_all(except_threads=hanging))
            os._exit(1)
        elif (used := self._memory_mb()) > limits.max_memory_mb and not self._runtime.draining.is_set():
            log.warning("memory above its limit: draining", used_mb=round(used), limit_mb=limits.max_memory_mb)
            self._drain()

    def _report_due(self) -> None:
        # Work is due to this worker while messages wait in its own queues: the ledger's index also holds what only
        # other workers can claim, and moves on whenever the sweeper rings.
        now = time.monotonic()
        self._waiting_since = (self._waiting_since or now) if self._waiting() else None
        self._runtime.progress.due(None if self._waiting_since is None else now - self._waiting_since)
