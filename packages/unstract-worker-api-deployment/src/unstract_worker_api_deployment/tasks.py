"""The api-deployment worker's Celery tasks: a few lines each; the steps are plain functions."""

from celery import Celery

from unstract_worker_api_deployment.start import JOBS
from unstract_worker_api_deployment.status import cleaned_up, read_asked, status_of
from unstract_worker_core.queues import ORCHESTRATE_TASK
from unstract_worker_core.runs import accept_start, handle_doorbell
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.boundary import add_task
from unstract_worker_core.worker.definition import RuntimeOf
from unstract_worker_core.worker.delivery import Delivery
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["register"]

# Today's workers declare these two without a name, so that it depends on how they are loaded.
_UNNAMED = ("", "tasks.", "api-deployment.tasks.")


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Add this worker's tasks to the app."""
    for name in ("async_execute_bin", "async_execute_bin_api"):
        add_task(app, runtime, name, _accept, late=True)
    add_task(app, runtime, ORCHESTRATE_TASK, _orchestrate)
    for prefix in _UNNAMED:
        add_task(app, runtime, f"{prefix}api_deployment_status_check", _status_check)
        add_task(app, runtime, f"{prefix}api_deployment_cleanup", _cleanup)


def _accept(runtime: Runtime, delivery: Delivery) -> None:
    accept_start(runtime, delivery, RunKind.API)


def _orchestrate(runtime: Runtime, delivery: Delivery) -> None:
    handle_doorbell(runtime, delivery, JOBS)


def _status_check(runtime: Runtime, delivery: Delivery) -> dict[str, object]:
    return status_of(runtime.backend, read_asked(delivery.args, delivery.kwargs))


def _cleanup(runtime: Runtime, delivery: Delivery) -> dict[str, object]:
    return cleaned_up(read_asked(delivery.args, delivery.kwargs), delivery.task_id)
