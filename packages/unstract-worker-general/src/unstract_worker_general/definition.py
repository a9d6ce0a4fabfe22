"""What makes this worker of the core."""

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_general.tasks import register

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.GENERAL,
    "unstract_worker_general",
    register,
    checks="unstract_worker_general.checks:cleanup_lines",
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
        ops.LIST_FILES,
        ops.CREATE_FILES,
        ops.CREATE_FILE,
        ops.UPDATE_FILES,
        ops.UPDATE_EXECUTION,
        ops.CONFIGURATION,
        ops.MARK_DISPATCHED,
        ops.MARK_DEAD_LETTER,
    ),
)
