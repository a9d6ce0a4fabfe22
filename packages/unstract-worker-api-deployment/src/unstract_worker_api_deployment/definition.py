"""What makes this worker of the core."""

from unstract_worker_api_deployment.tasks import register
from unstract_worker_core.backend import operations as ops
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["DEFINITION"]

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
        ops.LIST_FILES,
        ops.CREATE_FILES,
        ops.CREATE_FILE,
        ops.UPDATE_FILES,
        ops.UPDATE_EXECUTION,
        ops.CONFIGURATION,
    ),
)
