"""The api-deployment worker: starts, doorbells, two small tasks about one execution (tasks 6.2), and its definition."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from celery import Celery

from unstract_worker_api_deployment.start import JOBS
from unstract_worker_core.backend import operations as ops
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.messages.fields import named
from unstract_worker_core.queues import ORCHESTRATE_TASK
from unstract_worker_core.runs.run_handler import accept_start, handle_doorbell
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.runs.start import ARMING_OPERATIONS
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.tasks import add_task

# Today's workers declare these two tasks without a name, so the name depends on how the module is loaded.
_PREFIXES = ("", "tasks.", "api-deployment.tasks.")


def register(app: Celery, runtime: RuntimeOf) -> None:
    """Add this worker's tasks to the app."""
    for name in ("async_execute_bin", "async_execute_bin_api"):
        add_task(app, runtime, name, partial(accept_start, kind=RunKind.API), late=True)
    add_task(app, runtime, ORCHESTRATE_TASK, partial(handle_doorbell, jobs=JOBS))
    for prefix in _PREFIXES:
        add_task(app, runtime, f"{prefix}api_deployment_status_check", _status_check)
        add_task(app, runtime, f"{prefix}api_deployment_cleanup", _cleanup)


def read_ids(args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[str, str]:
    """Read the execution's id and its organization's. Raises MessageError."""
    given = named(args, kwargs, ("execution_id", "organization_id"))
    return execution_id(given.get("execution_id")), organization_id(given.get("organization_id"))


def _status_check(runtime: Runtime, delivery: Delivery) -> dict[str, object]:
    execution_id, organization = read_ids(delivery.args, delivery.kwargs)
    execution = runtime.backend.executions.get(organization, execution_id)
    return {
        "execution_id": execution.id,
        "status": execution.status.value,
        "created_at": execution.created_at or None,
        "modified_at": execution.modified_at or None,
        "total_files": execution.total_files,
        "attempts": execution.attempts,
        "execution_time": execution.execution_time,
        "error_message": execution.error_message or None,
        "is_api_deployment": True,
    }


def _cleanup(runtime: Runtime, delivery: Delivery) -> dict[str, object]:
    """Do nothing: the callback worker cleans up."""
    execution_id, _ = read_ids(delivery.args, delivery.kwargs)
    now = datetime.now(UTC).isoformat()
    return {
        "execution_id": execution_id,
        "cleanup_completed": True,
        "cleanup_time": now,
        "task_id": delivery.task_id,
    }


DEFINITION = WorkerDefinition(
    WorkerType.API_DEPLOYMENT,
    "unstract_worker_api_deployment",
    register,
    operations=(
        ops.HEALTH,
        ops.GET_EXECUTION,
        ops.TOOL_INSTANCES,
        ops.VALIDATE_TOOLS,
        ops.CHECK_HISTORY,
        *ARMING_OPERATIONS,
    ),
)
