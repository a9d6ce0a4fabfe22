"""What makes this worker of the core."""

from unstract_worker_callback.services import services
from unstract_worker_callback.tasks import register
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.CALLBACK,
    "unstract_worker_callback",
    register,
    services=services,
    commands={"runs": "unstract_worker_callback.runs_command.commands:runs"},
)
