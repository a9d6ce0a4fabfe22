"""Files of an execution: their rows, their statuses, which are in use, and the execution of one."""

from collections.abc import Iterable, Sequence
from typing import Any

from attrs import evolve, field, frozen

from unstract_worker_core import identifiers, serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Caller, Resource
from unstract_worker_core.backend.parts import Part, in_parts
from unstract_worker_core.backend.responses import ApiResponse, Json
from unstract_worker_core.identifiers import uuids
from unstract_worker_core.serialization import one_line
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
    """The used part of a file's row. `status`: None right after creation; `file_path`: None for API files read back."""

    id: str
    file_name: str
    file_path: str | None = None
    file_hash: str | None = None
    provider_file_uuid: str | None = None
    status: ExecutionStatus | None = None
    execution_error: str | None = None
    workflow_execution_id: str = ""  # workers of earlier releases want it where a row is journalled


@frozen
class ItemFailure:
    """One item of a batch call that failed."""

    error: str
    file_name: str | None = None
    file_execution_id: str | None = None


@frozen
class BatchCreated:
    """What a batch creation says: rows, and (file name, error) of the others."""

    created: tuple[FileExecution, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


@frozen(kw_only=True)
class FileStatusUpdate:
    """A file's status to write. Every write replaces the stored error, by nothing if `error_message` is None."""

    status: ExecutionStatus
    error_message: str | None = None
    execution_time: float | None = None


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


class Files(Resource):
    """Calls about files. A row belongs to one file of one execution; its id is the file execution id."""

    def __init__(self, call: Caller, execution_seconds: float) -> None:
        super().__init__(call)
        self._execution_seconds = execution_seconds

    def get(self, organization_id: str, file_execution_id: str) -> FileExecution:
        """A file's row. Raises NotFound."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.GET_FILE, organization_id, ids=ids)
        return _row(response, response.object())

    def list(self, organization_id: str, execution_id: str) -> tuple[FileExecution, ...]:
        """All rows of an execution that can be read; empty also for an execution of another organization."""
        response = self._call(operations.LIST_FILES, organization_id, query=uuids(execution_id=execution_id))
        return response.readable(FileExecution, [_with_status(item) for item in response.items()])

    def create(
        self, organization_id: str, execution_id: str, workflow_id: str, file: FileHash, *, key: str | None = None
    ) -> FileExecution:
        """Get or create a file's row; one at a time for an execution. On OutcomeUnknown look at the list first."""
        ids = uuids(execution_id=execution_id, workflow_id=workflow_id)
        body = {**ids, "file_hash": serialization.unstructure(file)}
        response = self._call(operations.CREATE_FILE, organization_id, body=body, key=key)
        row = _row(response, response.object())
        if not row.file_name:
            raise response.unexpected("file_name: empty, the row of an earlier create that failed half-way")
        return row

    def create_many(
        self, organization_id: str, execution_id: str, files: Sequence[FileHash], *, key: str | None = None
    ) -> BatchCreated:
        """Create rows in one call. A database error undoes all of it while rows are reported: list them after."""
        if not files:
            return BatchCreated()
        ids = uuids(execution_id=execution_id)

        def create(some: Sequence[FileHash], part: Part) -> BatchCreated:
            body = {"file_executions": [{**ids, "file_hash": serialization.unstructure(file)} for file in some]}
            response = self._call(operations.CREATE_FILES, organization_id, body=body, key=part.key(key))
            created = [_with_status(item) for item in response.items("successful_creations")]
            failed = _failures(response, "failed_creations", "file_name")
            return BatchCreated(response.readable(FileExecution, created), failed)

        parts = tuple(in_parts(create, files))
        return BatchCreated(
            tuple(row for part in parts for row in part.created), tuple(each for part in parts for each in part.failed)
        )

    def update_status(
        self, organization_id: str, file_execution_id: str, update: FileStatusUpdate, *, key: str | None = None
    ) -> None:
        """Write a file's status and, with it, its error."""
        ids = uuids(file_execution_id=file_execution_id)
        response = self._call(operations.UPDATE_FILE, organization_id, ids=ids, body=_body(update), key=key)
        if response.member("status") != "updated":
            raise response.unexpected("status: not updated")

    def update_statuses(
        self, organization_id: str, updates: Sequence[tuple[str, FileStatusUpdate]], *, key: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Write the statuses of many files, by their ids.

        Returns:
            What could not be written: (file execution id, error).
        """
        if not updates:
            return ()

        def write(some: Sequence[tuple[str, FileStatusUpdate]], part: Part) -> tuple[tuple[str, str], ...]:
            body = {"status_updates": [uuids(file_execution_id=id_) | _body(update) for id_, update in some]}
            response = self._call(operations.UPDATE_FILES, organization_id, body=body, key=part.key(key))
            failed = _failures(response, "failed_updates", "file_execution_id")
            if len(response.items("successful_updates")) + len(failed) != len(some):
                raise response.unexpected("successful_updates: not all updates are accounted for")
            return failed

        return tuple(each for failed in in_parts(write, updates) for each in failed)

    def check_active(
        self, organization_id: str, workflow_id: str, files: Iterable[tuple[str, str]], current_execution_id: str | None
    ) -> dict[tuple[str, str], str]:
        """Those of the files, (provider uuid, path) each, that another execution works on.

        Returns:
            The id of that execution by file; empty text where the backend does not say which. A failed call raises: it
            never means "none".
        """
        wanted = tuple(files)
        if not wanted:
            return {}
        ids = uuids(workflow_id=workflow_id)
        if current_execution_id is not None:
            ids |= uuids(current_execution_id=current_execution_id)

        def check(some: Sequence[tuple[str, str]], _: Part) -> dict[tuple[str, str], str]:
            body = {**ids, "files": [{"uuid": uuid, "path": path} for uuid, path in some]}
            response = self._call(operations.CHECK_ACTIVE, organization_id, body=body)
            active, rows = response.items("active_identifiers"), response.object().get("active_files")
            if not all(isinstance(each, str) for each in active):
                raise response.unexpected("active_identifiers: not a list of strings")
            return {pair: _executed_by(rows, *pair) for pair in some if ":".join(pair) in active}

        return {pair: by for found in in_parts(check, wanted) for pair, by in found.items()}

    def execute(
        self,
        organization_id: str,
        workflow_id: str,
        execution_id: str,
        file: FileToExecute,
        *,
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Json:
        """Run the workflow for a file and wait for its result, `timeout_seconds` at most.

        Never made twice: raises BackendRefused with the reason when the file failed, BackendUnavailable when
        the backend has not taken the request, and OutcomeUnknown when it may have: look at the row before
        asking again.
        """
        organization = identifiers.organization_id(organization_id)
        ids = uuids(workflow_id=workflow_id, execution_id=execution_id)
        body = {**ids, "file_data": serialization.unstructure(file), "organization_id": organization}
        seconds = self._execution_seconds if timeout_seconds is None else timeout_seconds
        response = self._call(operations.EXECUTE_FILE, organization, body=body, key=key, seconds=seconds)
        if response.member("status") != "success":
            raise response.unexpected("status: neither success nor error")
        if response.member("execution_id") != ids["execution_id"]:
            raise response.unexpected("execution_id: not the one that was asked for")
        return response.member("result")


def _body(update: FileStatusUpdate) -> Json:
    text = update.error_message
    return serialization.unstructure(update if text is None else evolve(update, error_message=one_line(text)))


def _with_status(item: Json) -> Json:
    """A new row has the status "": no status yet."""
    return {**item, "status": item.get("status") or None} if isinstance(item, dict) else item


def _row(response: ApiResponse, item: Json) -> FileExecution:
    return response.one(FileExecution, _with_status(item))


def _executed_by(rows: Json, uuid: str, path: str) -> str:
    of_uuid = rows.get(uuid) if isinstance(rows, dict) else None
    for row in of_uuid if isinstance(of_uuid, list) else ():
        if isinstance(row, dict) and row.get("file_path") == path:
            found = row.get("workflow_execution_id")
            return found if isinstance(found, str) else ""
    return ""


def _failures(response: ApiResponse, where: str, name: str) -> tuple[tuple[str, str], ...]:
    found = response.many(ItemFailure, response.items(where))
    return tuple((getattr(item, name) or "", one_line(item.error)) for item in found)
