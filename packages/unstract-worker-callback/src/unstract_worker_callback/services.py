"""What runs beside the tasks in a callback worker: the sweeper and, if asked for, the rescue."""

from collections.abc import Sequence

from unstract_worker_callback.abort import end_batches, end_start
from unstract_worker_callback.final_status import correct_late_write
from unstract_worker_callback.finalise import finalise_run
from unstract_worker_callback.rescue import Rescue
from unstract_worker_core.ledger import FinalState
from unstract_worker_core.ledger.sweeper import Sweep, Sweeper
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.worker.definition import Service

__all__ = ["services"]


class _Finaliser:
    """Finalises, rechecks and ends stopped runs for the sweeper, in its thread."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def finalise(self, run_id: str) -> None:
        finalise_run(self._runtime, run_id)

    def recheck(self, run_id: str, organization_id: str, final: FinalState) -> None:
        execution_id = run_id.removesuffix(".callback")
        if correct_late_write(self._runtime.backend, organization_id, execution_id, final):
            self._runtime.metrics.rescues.labels(kind="late write").inc()

    def end_start(self, run_id: str) -> None:
        end_start(self._runtime, run_id)

    def end_batches(self, run_id: str, epoch: int, batches: Sequence[int]) -> None:
        end_batches(self._runtime, run_id, epoch, batches)


def services(runtime: Runtime) -> tuple[Service, ...]:
    """The sweeper on this process's ledger and, where the operator asked for it, the rescue."""
    sweeper, age = _sweeper(runtime), runtime.settings.rescue_unseen_after
    if age is None or runtime.settings.chord.enabled:  # a chord's executions have no run of their own
        return (sweeper,)
    return (sweeper, Rescue(runtime, age, interval=max(age / 4, 1.0)))


def _sweeper(runtime: Runtime) -> Sweeper:
    ledger = runtime.settings.ledger

    def observe(sweep: Sweep) -> None:
        for kind in ("orchestrate", "batches", "finalise", "stopped", "rechecked", "dropped", "failed"):
            if amount := getattr(sweep, kind):
                runtime.metrics.rescues.labels(kind=kind).inc(amount)

    return Sweeper(
        runtime.ledger.runs,
        runtime.doorbells,
        _Finaliser(runtime),
        interval=ledger.sweep_seconds,
        recheck_seconds=ledger.recheck_seconds,
        observe=observe,
    )
