"""What makes this worker of the core."""

from unstract_worker_api_deployment.tasks import register
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(WorkerType.API_DEPLOYMENT, "unstract_worker_api_deployment", register)
