"""File executions: one row for each file of an execution."""

from typing import Any

from attrs import field, frozen

from unstract_worker_core.statuses import ExecutionStatus


@frozen(kw_only=True)
class FileHash:
    """What identifies a file, sent to get or create its row. ``API`` as source makes the backend forget the path."""

    file_name: str
    file_path: str
    file_hash: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    provider_file_uuid: str | None = None
    source_connection_type: str | None = None
    fs_metadata: Any = field(default=None, repr=False)


@frozen
class FileExecution:
    """A file's row. `status` is None right after creation; `file_path` is None for API files that are read back."""

    id: str
    workflow_execution_id: str
    file_name: str
    file_path: str | None = None
    file_hash: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    provider_file_uuid: str | None = None
    status: ExecutionStatus | None = None
    execution_error: str | None = None
    created_at: str = ""


@frozen
class CreatedFile:
    """A row of a batch creation."""

    id: str
    file_name: str
    file_path: str | None = None
    status: ExecutionStatus | None = None


@frozen
class ItemFailure:
    """What a batch says of one item that it could not do."""

    error: str
    file_name: str | None = None
    file_execution_id: str | None = None


@frozen
class BatchCreated:
    """What a batch creation says: rows, and (file name, error) of the others."""

    created: tuple[CreatedFile, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class FileStatusUpdate:
    """A file's status to write. Every write replaces the stored error, by nothing if `error_message` is None."""

    status: ExecutionStatus
    error_message: str | None = None
    execution_time: float | None = None


@frozen
class BatchWritten:
    """What a batch of status writes left undone: (file execution id, error)."""

    failed: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class FileToExecute:
    """The file of an execute-file call; the backend reads at least `name` and `file_path`."""

    name: str
    file_path: str
    file_execution_id: str | None = None
    file_hash: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    provider_file_uuid: str | None = None
    source_connection_type: str | None = None
    file_number: int | None = None
    use_file_history: bool | None = None
    fs_metadata: Any = field(default=None, repr=False)


@frozen(kw_only=True)
class ExecuteFile:
    """Run the workflow for one file."""

    workflow_id: str
    execution_id: str
    file: FileToExecute


@frozen
class FileExecuted:
    """The result of a file, as JSON."""

    result: Any = field(repr=False)
