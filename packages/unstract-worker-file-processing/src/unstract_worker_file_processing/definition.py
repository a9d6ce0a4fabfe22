"""What makes this worker of the core."""

from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_file_processing.tasks import register, services

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.FILE_PROCESSING,
    "unstract_worker_file_processing",
    register,
    services,
    checks="unstract_worker_file_processing.checks:executor_lines",
)
