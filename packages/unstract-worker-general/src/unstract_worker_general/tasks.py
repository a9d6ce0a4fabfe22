"""The general worker: its Celery tasks, its definition, and what `check` looks at for it alone."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from celery import Celery

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.queues import DELIVER_TASK, ORCHESTRATE_TASK
from unstract_worker_core.runs.run_handler import Job, accept_start, handle_doorbell
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.runs.start import ARMING_OPERATIONS, give_up
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.tasks import add_task, serve_celery_task
from unstract_worker_general.schedule import accept_schedule, give_up_schedule, start_pipeline
from unstract_worker_general.start import start_execution
from unstract_worker_general.webhooks.client import WebhookClient
from unstract_worker_general.webhooks.delivery import accept_webhook, webhook_jobs

if TYPE_CHECKING:
    from unstract_worker_core.operator.check import Line


# The platform's Beat sends it daily without a queue. It cleans the result table of the executor and log workers.
_CLEANUP = "celery.backend_cleanup"
CLEANUP_NEEDS = (
    "the platform's result table is not cleaned: set CHORD_COMPAT=true and CELERY_BACKEND_DB_* on the general worker, "
    "see docker/MOVING.md"
)

ORCHESTRATE_JOBS = {
    RunTask.EXECUTION: Job(step=start_execution, give_up=give_up),
    RunTask.SCHEDULE: Job(step=start_pipeline, give_up=give_up_schedule),
}


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Add this worker's tasks to the app."""
    accept = partial(accept_start, kind=RunKind.ETL)
    deliver = partial(_deliver, client=WebhookClient())  # shared by all deliveries of the process
    for name in ("async_execute_bin", "async_execute_bin_general"):
        add_task(app, runtime, name, accept, late=True)
    for name in ("scheduler.tasks.execute_pipeline_task", "execute_pipeline_task_v2"):
        add_task(app, runtime, name, accept_schedule, late=True)
    add_task(app, runtime, "send_webhook_notification", accept_webhook, late=True)
    add_task(app, runtime, "scheduler_health_check", _report_healthy)
    if app.conf.result_backend:
        serve_celery_task(app, runtime, _CLEANUP, late=True)
    else:
        add_task(app, runtime, _CLEANUP, _refuse_cleanup)
    add_task(app, runtime, ORCHESTRATE_TASK, partial(handle_doorbell, jobs=ORCHESTRATE_JOBS))
    add_task(app, runtime, DELIVER_TASK, deliver)


def _deliver(runtime: Runtime, delivery: Delivery, client: WebhookClient) -> None:
    with webhook_jobs(runtime, client) as jobs:
        handle_doorbell(runtime, delivery, jobs)


def _refuse_cleanup(runtime: Runtime, delivery: Delivery) -> None:
    raise MessageError(CLEANUP_NEEDS)


def _report_healthy(runtime: Runtime, delivery: Delivery) -> dict[str, str]:
    return {"status": "healthy"}


def cleanup_lines(settings: Settings, organizations: Sequence[str] = ()) -> Iterator["Line"]:
    """Whether the daily `celery.backend_cleanup` of the platform's Beat, which this worker gets, does its work.

    It has nothing to do with `organizations`.
    """
    from unstract_worker_core.operator.check import Line  # a running process does not import the operator's part

    if settings.chord.enabled:
        yield Line("celery.backend_cleanup", "ok", "is run here when the platform's Beat sends it")
    else:
        yield Line("celery.backend_cleanup", "warn", f"becomes a dead letter each day: {CLEANUP_NEEDS}")


DEFINITION = WorkerDefinition(
    WorkerType.GENERAL,
    "unstract_worker_general",
    register,
    checks="unstract_worker_general.tasks:cleanup_lines",
    operations=(
        ops.HEALTH,
        ops.GET_PIPELINE,
        ops.UPDATE_PIPELINE,
        ops.PIPELINE_TARGETS,
        ops.ENQUEUE,
        ops.LIST_EXECUTIONS,
        ops.CREATE_EXECUTION,
        ops.GET_EXECUTION,
        ops.TOOL_INSTANCES,
        ops.VALIDATE_TOOLS,
        ops.SOURCE_FILES,
        ops.FIND_HISTORIES,
        ops.CHECK_ACTIVE,
        *ARMING_OPERATIONS,
        ops.MARK_DISPATCHED,
        ops.MARK_DEAD_LETTER,
    ),
)
