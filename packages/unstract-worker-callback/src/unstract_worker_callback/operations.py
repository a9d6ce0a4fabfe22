"""The backend's operations that this worker calls: what `conformance` tries."""

from unstract_worker_core.backend import operations as ops

__all__ = ["OPERATIONS"]

OPERATIONS = (
    ops.HEALTH,
    ops.GET_EXECUTION,
    ops.LIST_EXECUTIONS,
    ops.UPDATE_EXECUTION,
    ops.UPDATE_PIPELINE,
    ops.CLEAN_UP,
    ops.PIPELINE_TARGETS,
    ops.API_TARGETS,
    ops.ENQUEUE,
)
