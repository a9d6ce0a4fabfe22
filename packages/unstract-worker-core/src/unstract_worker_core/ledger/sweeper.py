"""The sweeper: re-derives what should be in flight from the ledger and rings for it.

It runs in every callback worker. Two sweepers at once are safe: the step that decides also marks, by Redis's
clock, when the run is next due.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.errors import WorkerError
from unstract_worker_core.ledger.records import FinalState, RunTask
from unstract_worker_core.ledger.runs import DueDecision, Runs
from unstract_worker_core.periodic import PeriodicService
from unstract_worker_core.statuses import RunKind

# A READY run whose callback was rung this often without a claim is finalised by the sweeper's own process.
_INLINE_AFTER = 3


class Finaliser(Protocol):
    """What the callback worker does with a run outside of a doorbell."""

    def finalise(self, run_id: str) -> None:
        """Finalise a READY run now."""

    def recheck(self, run_id: str, organization_id: str, final: FinalState) -> None:
        """The second read-back of a finished run."""

    def end_start(self, run_id: str) -> None:
        """End a stopped run that is ACCEPTED, in place of the worker that starts runs."""

    def end_batches(self, run_id: str, epoch: int, batches: Sequence[int]) -> None:
        """End batches of a stopped run, in place of the workers that process files."""


class Sweeper(PeriodicService):
    """Looks at due runs every few seconds, with jitter. `observe` gets what each tick did: see `tick`."""

    def __init__(
        self,
        runs: Runs,
        doorbells: Doorbells,
        finaliser: Finaliser,
        *,
        interval: float,
        recheck_seconds: float,
        observe: Callable[[Counter[str]], None] = lambda sweep: None,
        limit: int = 200,
    ) -> None:
        super().__init__("sweep", interval)
        self._runs = runs
        self._doorbells = doorbells
        self._finaliser = finaliser
        self._recheck = recheck_seconds
        self._observe = observe
        self._limit = limit

    def tick(self) -> Counter[str]:
        """Visit every due run once. An error of one run does not stop the others.

        Returns:
            What was done, in runs: looked, orchestrate, finalise, stopped (ended here instead of rung), rechecked,
            dropped, failed; and batches, the doorbells that were rung for batches.
        """
        sweep = Counter[str]()
        overdue = self._runs.overdue(self._limit)
        waiting = {kind: self._doorbells.waiting(kind) for kind in RunKind} if overdue else {}
        for run_id in overdue:
            if self.stopping.is_set():
                break
            try:
                sweep += self._visit(run_id, waiting)
            except WorkerError as error:
                self._log.warning("sweep of a run failed", run_id=run_id, error=str(error))
                sweep["failed"] += 1
            except Exception:  # noqa: BLE001 - boundary of one run: its fault must not strand the others
                self._log.exception("sweep of a run failed unexpectedly", run_id=run_id)
                sweep["failed"] += 1
        self._observe(sweep)
        return sweep

    def _visit(self, run_id: str, waiting: dict[RunKind, int]) -> Counter[str]:
        decision = self._runs.decide_due(run_id, waiting=waiting, recheck_seconds=self._recheck)
        if decision.action == "drop":
            done = Counter(dropped=1)
        elif decision.action == "recheck":
            done = self._recheck_finished(run_id, decision)
        elif decision.action == "finalise":
            done = self._finalise(run_id, decision)
        elif decision.stop and decision.task is RunTask.EXECUTION:
            done = self._end_stopped(run_id, decision)
        else:
            done = self._ring(run_id, decision, waiting)
        return done + Counter(looked=1)

    def _ring(self, run_id: str, decision: DueDecision, waiting: dict[RunKind, int]) -> Counter[str]:
        if decision.action == "ring" and decision.kind is not None and decision.batches:
            self._doorbells.ring_batches(run_id, epoch=decision.epoch, batches=decision.batches, kind=decision.kind)
            waiting[decision.kind] = waiting.get(decision.kind, 0) + len(decision.batches)
            return Counter(batches=len(decision.batches))
        if decision.action == "orchestrate" and decision.task is not None and decision.kind is not None:
            self._doorbells.ring_start(run_id, task=decision.task, kind=decision.kind)
            return Counter(orchestrate=1)
        return Counter()

    def _finalise(self, run_id: str, decision: DueDecision) -> Counter[str]:
        if decision.rings > _INLINE_AFTER:
            self._finaliser.finalise(run_id)
        else:
            self._doorbells.ring_callback(run_id)
        return Counter(finalise=1)

    def _end_stopped(self, run_id: str, decision: DueDecision) -> Counter[str]:
        """Needs no other worker: all that could take the run's next step may be gone."""
        if decision.action == "orchestrate":
            self._finaliser.end_start(run_id)
        elif decision.batches:
            self._finaliser.end_batches(run_id, decision.epoch, decision.batches)
        else:  # its batches are being worked on
            return Counter()
        return Counter(stopped=1)

    def _recheck_finished(self, run_id: str, decision: DueDecision) -> Counter[str]:
        if decision.final is not None:
            self._finaliser.recheck(run_id, decision.organization_id, decision.final)
        self._runs.clear_recheck(run_id)
        return Counter(rechecked=1)
