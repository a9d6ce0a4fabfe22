"""Executions: what is read, and what is written to them."""

from attrs import field, frozen

from unstract_worker_core.statuses import ExecutionStatus


@frozen
class ExecutionSummary:
    """One row of the list of a workflow's executions. `execution_method`: DIRECT or SCHEDULED. Times: ISO 8601."""

    id: str
    workflow_id: str
    status: ExecutionStatus
    pipeline_id: str | None = None
    execution_log_id: str = ""
    total_files: int = 0
    error_message: str = ""
    created_at: str = ""
    execution_method: str = ""


@frozen
class Execution:
    """An execution with what a worker needs of its surroundings; never its files, never credentials.

    `is_api` is true if either end of the workflow says so. `source_type` and `destination_type` are None
    where the backend could not tell. `pipeline_id` is None when the pipeline is gone. `usage_cost` only if
    asked for.
    """

    id: str
    workflow_id: str
    status: ExecutionStatus
    organization_id: str | None = None
    workflow_name: str = ""
    workflow_type: str = ""
    pipeline_id: str | None = None
    execution_log_id: str = ""
    total_files: int = 0
    error_message: str = ""
    attempts: int = 0
    execution_time: float = 0.0
    created_at: str = ""
    modified_at: str = ""
    tags: tuple[str, ...] = ()
    is_api: bool = False
    source_type: str | None = None
    destination_type: str | None = None
    use_file_history: bool = True
    usage_cost: float | None = None


@frozen(kw_only=True)
class StatusUpdate:
    """A status to write; what is None is left out (null is refused). Counts need `total_files`."""

    status: ExecutionStatus
    total_files: int | None = None
    successful_files: int | None = None
    failed_files: int | None = None
    error_message: str | None = None
    attempts: int | None = None


@frozen
class StatusWritten:
    """Whether a status was stored; if not, the backend's reason, such as ``already_final``."""

    written: bool
    reason: str = ""


@frozen(kw_only=True)
class NewExecution:
    """An execution to create. Without `pipeline_id` it needs `log_events_id`: the backend fails on neither."""

    workflow_id: str
    pipeline_id: str | None = None
    log_events_id: str | None = field(default=None)
    mode: str | None = None
    scheduled: bool = False
    single_step: bool = False
    total_files: int = 0

    @log_events_id.validator
    def _channel(self, _: object, value: str | None) -> None:
        if not value and not self.pipeline_id:
            raise ValueError("a new execution needs pipeline_id or log_events_id")


@frozen
class CreatedExecution:
    """The execution that was created."""

    execution_id: str
    execution_log_id: str | None = None
