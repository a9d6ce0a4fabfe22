"""What makes this worker of the core."""

from unstract_worker_callback.services import services
from unstract_worker_callback.tasks import register
from unstract_worker_core.backend import operations as ops
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["DEFINITION"]

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
