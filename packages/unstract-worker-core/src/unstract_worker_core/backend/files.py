"""Files of an execution: their rows, their statuses, which are in use, and the execution of one."""

from collections.abc import Iterable, Sequence

from attrs import evolve, frozen

from unstract_worker_core import identifiers, serialization
from unstract_worker_core.backend import models, operations
from unstract_worker_core.backend.answers import Answer, Json
from unstract_worker_core.backend.caller import Caller
from unstract_worker_core.backend.ids import uuids
from unstract_worker_core.backend.verdicts import one_line


@frozen
class Files:
    """Calls about files. A row belongs to one file of one execution; its id is the file execution id."""

    _call: Caller
    _execution_seconds: float

    def get(self, organization_id: str, file_execution_id: str) -> models.FileExecution:
        """A file's row. Raises NotFound."""
        ids = uuids(file_execution_id=file_execution_id)
        answer = self._call(operations.GET_FILE, organization_id, ids=ids)
        return _row(answer, answer.object())

    def list(self, organization_id: str, execution_id: str) -> tuple[models.FileExecution, ...]:
        """All rows of an execution; empty also for an execution of another organization."""
        answer = self._call(operations.LIST_FILES, organization_id, query=uuids(execution_id=execution_id))
        return tuple(_row(answer, item) for item in answer.items())

    def create(
        self,
        organization_id: str,
        execution_id: str,
        workflow_id: str,
        file: models.FileHash,
        *,
        key: str | None = None,
    ) -> models.FileExecution:
        """Get or create a file's row; one at a time for an execution. On OutcomeUnknown look at the list first."""
        ids = uuids(execution_id=execution_id, workflow_id=workflow_id)
        body = {**ids, "file_hash": serialization.unstructure(file)}
        answer = self._call(operations.CREATE_FILE, organization_id, body=body, key=key)
        row = _row(answer, answer.object())
        if not row.file_name:
            raise answer.unexpected("file_name: empty, the row of an earlier create that failed half-way")
        return row

    def create_many(
        self,
        organization_id: str,
        execution_id: str,
        files: Sequence[models.FileHash],
        *,
        key: str | None = None,
    ) -> models.BatchCreated:
        """Create rows in one call. A database error undoes all of it while rows are reported: list them after."""
        if not files:
            return models.BatchCreated()
        ids = uuids(execution_id=execution_id)
        body = {"file_executions": [{**ids, "file_hash": serialization.unstructure(file)} for file in files]}
        answer = self._call(operations.CREATE_FILES, organization_id, body=body, key=key)
        created = [_with_status(item) for item in answer.items("successful_creations")]
        failed = _failures(answer, "failed_creations", "file_name")
        return models.BatchCreated(answer.many(models.CreatedFile, created), failed)

    def update_status(
        self,
        organization_id: str,
        file_execution_id: str,
        update: models.FileStatusUpdate,
        *,
        key: str | None = None,
    ) -> None:
        """Write a file's status and, with it, its error."""
        ids = uuids(file_execution_id=file_execution_id)
        answer = self._call(operations.UPDATE_FILE, organization_id, ids=ids, body=_body(update), key=key)
        if answer.member("status") != "updated":
            raise answer.unexpected("status: not updated")

    def update_statuses(
        self,
        organization_id: str,
        updates: Sequence[tuple[str, models.FileStatusUpdate]],
        *,
        key: str | None = None,
    ) -> models.BatchWritten:
        """Write the statuses of many files, by their ids; what could not be written is named."""
        if not updates:
            return models.BatchWritten()
        body = {"status_updates": [uuids(file_execution_id=id_) | _body(update) for id_, update in updates]}
        answer = self._call(operations.UPDATE_FILES, organization_id, body=body, key=key)
        failed = _failures(answer, "failed_updates", "file_execution_id")
        if len(answer.items("successful_updates")) + len(failed) != len(updates):
            raise answer.unexpected("successful_updates: not all updates are accounted for")
        return models.BatchWritten(failed)

    def check_active(
        self,
        organization_id: str,
        workflow_id: str,
        files: Iterable[tuple[str, str]],
        current_execution_id: str | None,
    ) -> dict[tuple[str, str], str]:
        """Those of the files, (provider uuid, path) each, that another execution works on.

        Returns:
            The id of that execution by file; empty text where the backend does not say which. A failed call raises: it
            never means "none".
        """
        wanted = tuple(files)
        if not wanted:
            return {}
        body: Json = {**uuids(workflow_id=workflow_id), "files": [{"uuid": u, "path": p} for u, p in wanted]}
        if current_execution_id is not None:
            body |= uuids(current_execution_id=current_execution_id)
        answer = self._call(operations.CHECK_ACTIVE, organization_id, body=body)
        active, rows = frozenset(answer.items("active_identifiers")), answer.object().get("active_files")
        return {pair: _executed_by(rows, *pair) for pair in wanted if ":".join(pair) in active}

    def execute(
        self,
        organization_id: str,
        request: models.ExecuteFile,
        *,
        key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> models.FileExecuted:
        """Run the workflow for a file and wait for its result, `timeout_seconds` at most.

        Never made twice: raises BackendRefused with the reason when the file failed, BackendUnavailable when
        the backend has not taken the request, and OutcomeUnknown when it may have: look at the row before
        asking again.
        """
        organization = identifiers.organization_id(organization_id)
        ids = uuids(workflow_id=request.workflow_id, execution_id=request.execution_id)
        file = serialization.unstructure(request.file)
        body = {**ids, "file_data": file, "organization_id": organization}
        seconds = self._execution_seconds if timeout_seconds is None else timeout_seconds
        answer = self._call(operations.EXECUTE_FILE, organization, body=body, key=key, seconds=seconds)
        if answer.member("status") != "success":
            raise answer.unexpected("status: neither success nor error")
        if answer.member("execution_id") != ids["execution_id"]:
            raise answer.unexpected("execution_id: not the one that was asked for")
        return models.FileExecuted(answer.member("result"))


def _body(update: models.FileStatusUpdate) -> Json:
    told = update.error_message
    return serialization.unstructure(update if told is None else evolve(update, error_message=one_line(told)))


def _with_status(item: Json) -> Json:
    """A new row has the status "": no status yet."""
    return {**item, "status": item.get("status") or None} if isinstance(item, dict) else item


def _row(answer: Answer, item: Json) -> models.FileExecution:
    return answer.one(models.FileExecution, _with_status(item))


def _executed_by(rows: Json, uuid: str, path: str) -> str:
    """The execution that a row of `active_files` names for this file."""
    of_uuid = rows.get(uuid) if isinstance(rows, dict) else None
    for row in of_uuid if isinstance(of_uuid, list) else ():
        if isinstance(row, dict) and row.get("file_path") == path:
            found = row.get("workflow_execution_id")
            return found if isinstance(found, str) else ""
    return ""


def _failures(answer: Answer, where: str, name: str) -> tuple[tuple[str, str], ...]:
    found = answer.many(models.ItemFailure, answer.items(where))
    return tuple((getattr(item, name) or "", one_line(item.error)) for item in found)
