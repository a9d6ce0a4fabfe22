"""The callback worker: its Celery tasks, its definition, and what runs beside them: the sweeper and the rescue."""

from collections import Counter
from collections.abc import Sequence

from celery import Celery

from unstract_worker_callback.abort import end_batches, end_start
from unstract_worker_callback.chord_compat import read_callback
from unstract_worker_callback.final_status import correct_late_write
from unstract_worker_callback.finalise import finalise_run
from unstract_worker_callback.rescue import Rescue
from unstract_worker_core import serialization
from unstract_worker_core.backend import operations as ops
from unstract_worker_core.doorbells import read_run_doorbell
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import Accepted, FinalState, RunState, RunTask
from unstract_worker_core.ledger.sweeper import Sweeper
from unstract_worker_core.queues import FINALISE_TASK
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.definition import RuntimeOf, Service, WorkerDefinition
from unstract_worker_core.worker.tasks import add_task, serve_celery_task

_CHORD_CALLBACKS = (
    "process_batch_callback",
    "process_batch_callback_api",
    "workflow_manager.workflow_v2.file_execution_tasks.process_batch_callback",
)


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Add this worker's tasks to the app."""
    add_task(app, runtime, FINALISE_TASK, _finalise)
    for name in _CHORD_CALLBACKS:
        add_task(app, runtime, name, _chord_callback, late=True)
    if not app.conf.result_backend:
        add_task(app, runtime, "celery.chord_unlock", _refuse_unlock)
    else:
        # Acknowledged after it sent itself again, or the callback: one that was cut off is delivered again.
        serve_celery_task(app, runtime, "celery.chord_unlock", late=True)


def _finalise(runtime: Runtime, delivery: Delivery) -> None:
    bell = read_run_doorbell(delivery.kwargs)
    if bell is not None:
        finalise_run(runtime, bell.run_id)


def _chord_callback(runtime: Runtime, delivery: Delivery) -> None:
    results = delivery.args[0] if delivery.args else None
    callback = read_callback(results, delivery.args[1:], delivery.kwargs)

    def accept() -> Accepted:
        return runtime.ledger.runs.accept(
            callback.run_id,
            task=RunTask.CHORD_CALLBACK,
            kind=RunKind.ETL,
            organization_id=callback.organization_id,
            start=serialization.encode(callback),
            state=RunState.READY,
        )

    if retry_until_accepted(runtime, accept).state is RunState.READY:
        runtime.doorbells.ring_callback(callback.run_id)


def _refuse_unlock(runtime: Runtime, delivery: Delivery) -> None:
    raise MessageError(
        "a chord waits for its results, but CHORD_COMPAT is off here: set it, and the result backend's variables"
    )


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

    def observe(sweep: Counter[str]) -> None:
        for kind in sweep.keys() - {"looked"}:
            runtime.metrics.rescues.labels(kind=kind).inc(sweep[kind])

    return Sweeper(
        runtime.ledger.runs,
        runtime.doorbells,
        _Finaliser(runtime),
        interval=ledger.sweep_seconds,
        recheck_seconds=ledger.recheck_seconds,
        observe=observe,
    )


DEFINITION = WorkerDefinition(
    WorkerType.CALLBACK,
    "unstract_worker_callback",
    register,
    services=services,
    commands={"runs": "unstract_worker_core.operator.runs_command:runs"},
    operations=(
        ops.HEALTH,
        ops.GET_EXECUTION,
        ops.LIST_EXECUTIONS,
        ops.UPDATE_EXECUTION,
        ops.LIST_FILES,
        ops.UPDATE_FILES,
        ops.UPDATE_PIPELINE,
        ops.CLEAN_UP,
        ops.PIPELINE_TARGETS,
        ops.API_TARGETS,
        ops.ENQUEUE,
    ),
)
