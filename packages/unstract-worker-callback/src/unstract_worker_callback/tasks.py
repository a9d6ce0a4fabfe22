"""The callback worker's Celery tasks; the steps are plain functions in other modules."""

from celery import Celery

from unstract_worker_callback.chord_compat import read_callback
from unstract_worker_callback.finalise import finalise_run
from unstract_worker_core import serialization
from unstract_worker_core.doorbells import read_run_doorbell
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import Accepted, RunState, RunTask
from unstract_worker_core.queues import FINALISE_TASK
from unstract_worker_core.runs.run_handler import retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.definition import RuntimeOf
from unstract_worker_core.worker.tasks import add_task, serve_celery_task

__all__ = ["register"]

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
