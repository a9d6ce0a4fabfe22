"""What makes this worker of the core."""

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_file_processing.tasks import register, services

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.FILE_PROCESSING,
    "unstract_worker_file_processing",
    register,
    services=services,
    checks="unstract_worker_file_processing.checks:executor_lines",
    operations=(
        ops.HEALTH,
        ops.GET_EXECUTION,
        ops.HISTORY_BY_HASH,
        ops.CHECK_HISTORY,
        ops.GET_FILE,
        ops.UPDATE_FILES,
        ops.UPDATE_FILE,
        ops.EXECUTE_FILE,
        ops.CREATE_HISTORY,
        ops.TOKENS,
        ops.PAGES,
        ops.CHECK_ACTIVE,
        ops.CREATE_FILE,
        ops.LIST_FILES,
    ),
)
