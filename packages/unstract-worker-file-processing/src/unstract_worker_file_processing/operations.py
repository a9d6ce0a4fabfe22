"""The backend's operations that this worker calls: what `conformance` tries."""

from unstract_worker_core.backend import operations as ops

__all__ = ["OPERATIONS"]

OPERATIONS = (
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
