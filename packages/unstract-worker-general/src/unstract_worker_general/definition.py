"""What makes this worker of the core."""

from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_general.tasks import register

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.GENERAL, "unstract_worker_general", register, checks="unstract_worker_general.checks:cleanup_lines"
)
