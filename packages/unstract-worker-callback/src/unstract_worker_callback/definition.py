"""What makes this worker of the core."""

from unstract_worker_callback.services import services
from unstract_worker_callback.tasks import register
from unstract_worker_core.app.definition import WorkerDefinition
from unstract_worker_core.statuses import WorkerType

__all__ = ["DEFINITION"]

DEFINITION = WorkerDefinition(
    WorkerType.CALLBACK,
    "unstract_worker_callback",
    register,
    services=services,
    commands={"runs": "unstract_worker_callback.runs_command.commands:runs"},
)
