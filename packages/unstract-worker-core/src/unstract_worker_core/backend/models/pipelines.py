"""Pipelines, API deployments, and who is told about their runs."""

from attrs import frozen

from unstract_worker_core.statuses import PipelineStatus


@frozen
class Pipeline:
    """A pipeline, or the API deployment of that id. `type`: ETL, TASK, API, APP or DEFAULT.

    `last_run_status` is as the backend has it; None where it is not told, as for an API deployment.
    """

    id: str
    name: str
    type: str
    is_api: bool
    workflow_id: str
    active: bool
    last_run_status: str | None = None


@frozen
class PipelineUpdate:
    """What to write as a pipeline's last run; `is_end` also sets the time of it."""

    status: PipelineStatus
    is_end: bool = False


@frozen
class ApiDeployment:
    """An API deployment; `api_name` is what notifications call it."""

    id: str
    display_name: str
    api_name: str
    workflow_id: str


@frozen
class Notification:
    """A target to tell. Its URL and keys stay with the backend, which does the sending."""

    id: str
    notification_type: str
    platform: str | None = None
    is_active: bool = True
    notify_on_failures: bool = False


@frozen
class ExecutionCounts:
    """Files of a run, as the backend counted them."""

    total_files: int = 0
    successful_files: int = 0
    failed_files: int = 0


@frozen
class NotificationTargets:
    """Who is to be told about a run; `counts` is None where the backend does not know the run."""

    name: str
    notifications: tuple[Notification, ...] = ()
    counts: ExecutionCounts | None = None


@frozen(kw_only=True)
class NotificationEvent:
    """One event for one target. `execution_id` may be None for INPROGRESS only; `timestamp` is ISO 8601."""

    notification_id: str
    type: str
    pipeline_id: str
    pipeline_name: str
    status: str
    platform: str
    execution_id: str | None = None
    error_message: str | None = None
    timestamp: str | None = None
    additional_data: ExecutionCounts | None = None
