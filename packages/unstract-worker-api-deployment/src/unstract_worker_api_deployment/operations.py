"""The backend's operations that this worker calls: what `conformance` tries."""

from unstract_worker_core.backend import operations as ops

__all__ = ["OPERATIONS"]

OPERATIONS = (
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
)
