"""Models of the internal API: what the client takes and gives."""

from unstract_worker_core.backend.models.executions import (
    CreatedExecution,
    Execution,
    ExecutionSummary,
    NewExecution,
    StatusUpdate,
    StatusWritten,
)
from unstract_worker_core.backend.models.files import (
    BatchCreated,
    BatchWritten,
    CreatedFile,
    ExecuteFile,
    FileExecuted,
    FileExecution,
    FileHash,
    FileStatusUpdate,
    FileToExecute,
    ItemFailure,
)
from unstract_worker_core.backend.models.history import (
    FileHistory,
    HistoryQuery,
    NewHistory,
)
from unstract_worker_core.backend.models.pipelines import (
    ApiDeployment,
    ExecutionCounts,
    Notification,
    NotificationEvent,
    NotificationTargets,
    Pipeline,
    PipelineUpdate,
)
from unstract_worker_core.backend.models.usage import (
    Health,
    TokenUsage,
)
from unstract_worker_core.backend.models.workflows import (
    Endpoint,
    SourceFile,
    ToolInstance,
    ToolProblem,
    ToolValidation,
    UnreadableFile,
    WorkflowEndpoints,
)

__all__ = [
    "ApiDeployment",
    "BatchCreated",
    "BatchWritten",
    "CreatedExecution",
    "CreatedFile",
    "Endpoint",
    "ExecuteFile",
    "Execution",
    "ExecutionCounts",
    "ExecutionSummary",
    "FileExecuted",
    "FileExecution",
    "FileHash",
    "FileHistory",
    "FileStatusUpdate",
    "FileToExecute",
    "Health",
    "HistoryQuery",
    "ItemFailure",
    "NewExecution",
    "NewHistory",
    "Notification",
    "NotificationEvent",
    "NotificationTargets",
    "Pipeline",
    "PipelineUpdate",
    "SourceFile",
    "StatusUpdate",
    "StatusWritten",
    "TokenUsage",
    "ToolInstance",
    "ToolProblem",
    "ToolValidation",
    "UnreadableFile",
    "WorkflowEndpoints",
]
