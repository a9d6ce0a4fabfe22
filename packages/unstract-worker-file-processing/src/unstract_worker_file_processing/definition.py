"""What makes this worker of the core."""

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import Settings
from unstract_worker_core.config.sections import PLATFORM_EXECUTOR
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_file_processing.tasks import register, services

__all__ = ["DEFINITION"]

_OPERATIONS = (
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
)
# What the executor `platform` calls in place of `execute-file/`, which today's platform does not serve.
_PLATFORM_OPERATIONS = (ops.TOOL_INSTANCES, ops.TOOL, ops.PLATFORM_KEY, ops.WORKFLOW)


def _operations_of(settings: Settings) -> tuple[Operation, ...]:
    if settings.files.executor != PLATFORM_EXECUTOR:
        return _OPERATIONS
    return (*(each for each in _OPERATIONS if each is not ops.EXECUTE_FILE), *_PLATFORM_OPERATIONS)


DEFINITION = WorkerDefinition(
    WorkerType.FILE_PROCESSING,
    "unstract_worker_file_processing",
    register,
    services=services,
    checks="unstract_worker_file_processing.checks:executor_lines",
    operations=_OPERATIONS,
    operations_of=_operations_of,
)
