"""The backend's operations that this worker calls: what `conformance` tries."""

from unstract_worker_core.backend import operations as ops

__all__ = ["OPERATIONS"]

OPERATIONS = (
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
)
