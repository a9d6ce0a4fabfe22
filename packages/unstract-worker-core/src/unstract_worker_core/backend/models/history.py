"""File history: which content a workflow has seen before, and with what result."""

from attrs import field, frozen

from unstract_worker_core.statuses import ExecutionStatus


@frozen
class FileHistory:
    """A history row. `result` and `metadata` are text: JSON, or Python's repr in rows of today's workers.

    A row in ERROR is found too: look at `status`.
    """

    id: str
    status: ExecutionStatus
    result: str | None = field(default=None, repr=False)
    metadata: str | None = field(default=None, repr=False)
    error: str | None = None
    file_path: str | None = None
    provider_file_uuid: str | None = None
    execution_count: int = 0
    max_execution_count: int | None = None
    has_exceeded_limit: bool = False


@frozen(kw_only=True)
class HistoryQuery:
    """A file whose history is looked up, by the storage's id of it or by its hash. `identifier`: key of the answer."""

    identifier: str
    file_path: str
    provider_file_uuid: str | None = None
    cache_key: str | None = None


@frozen(kw_only=True)
class NewHistory:
    """A history row to write; each write counts. Leave `file_path` out for API files.

    `result` and `metadata` are text: the backend would store the repr of anything else.
    """

    workflow_id: str
    file_hash: str
    file_name: str
    status: ExecutionStatus
    is_api: bool = False
    file_path: str | None = None
    provider_file_uuid: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    source_connection_type: str | None = None
    result: str | None = field(default=None, repr=False)
    metadata: str | None = field(default=None, repr=False)
    error: str | None = None
