"""Doorbells and finaliser that write down what they are asked for."""

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from unstract_worker_core.errors import WorkerError
from unstract_worker_core.ledger import FinalState, RunTask
from unstract_worker_core.statuses import RunKind

RUN = "run-a"


class BrokerAway(WorkerError):
    """The broker does not take the doorbell."""


@define
class Recorder:
    """Doorbells and finaliser in one: writes down what it is asked for."""

    calls: list[tuple[Any, ...]] = field(factory=list)
    depth: int = 0
    fails: dict[str, Exception] = field(factory=dict)
    counted: int = 0

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        self._note("start", run_id, task, kind)

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        self._note("batches", run_id, epoch, tuple(batches), kind)

    def ring_callback(self, run_id: str) -> None:
        self._note("callback", run_id)

    def waiting(self, kind: RunKind) -> int:
        self.counted += 1
        return self.depth

    def finalise(self, run_id: str) -> None:
        self._note("finalise", run_id)

    def recheck(self, run_id: str, organization_id: str, final: FinalState) -> None:
        self._note("recheck", run_id, organization_id, final.status)

    def end_start(self, run_id: str) -> None:
        self._note("end start", run_id)

    def end_batches(self, run_id: str, epoch: int, batches: Sequence[int]) -> None:
        self._note("end batches", run_id, epoch, tuple(batches))

    def _note(self, what: str, run_id: str, *rest: Any) -> None:
        if run_id in self.fails:
            raise self.fails[run_id]
        self.calls.append((what, run_id, *rest))
