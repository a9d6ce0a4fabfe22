"""file-execution: create, list, get, status, their batch forms; and which files another execution works on."""

import sqlite3
import time
from typing import Any

from unstract_devstack.backend.database import Row, given, pick
from unstract_devstack.backend.handlers.executions import STATUSES, TERMINAL
from unstract_devstack.backend.handlers.validation import FieldErrors
from unstract_devstack.backend.handlers.workflows import MANAGER
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import Refused, failed, operation, refuse, valid_uuid

FILE = "/internal/v1/file-execution"
NAME_LENGTH = 255
NO_EXECUTION = "WorkflowExecution not found or access denied"
SHOWN = (
    "id workflow_execution_id file_name file_path file_size file_hash provider_file_uuid mime_type fs_metadata status"
    " execution_error created_at modified_at"
)
ACTIVE = "id workflow_execution_id file_name file_path status created_at provider_file_uuid"
BUSY = ("PENDING", "EXECUTING")


def _got_or_created(call: Call, execution_id: object, file: dict[str, Any]) -> Row:
    """The row of a file in an execution, by path and hash or by path and the storage's id.

    Looked up first and inserted after, not as one step: two callers at once can both insert where the database does
    not forbid it, which is so for API files, since their path is stored as null. More than one row is an error.
    """
    found_id, organization = valid_uuid(execution_id), call.filtered()
    execution = call.database.get("executions", id=found_id)
    if execution is None or organization not in (None, execution["organization_pk"]):
        raise refuse(404, error=NO_EXECUTION)
    path = None if file.get("source_connection_type") == "API" else file.get("file_path")
    column = "file_hash" if file.get("file_hash") else "provider_file_uuid"
    keys = {"execution_id": found_id, "file_path": path, column: file.get(column)}
    known = call.database.find("shown_files", **keys)
    if not known:
        try:
            _insert(call, found_id, path, file)
        except sqlite3.IntegrityError as problem:
            # Another caller was first. Or it was the other unique key: a half-made row stays, and the call fails.
            if not call.database.find("file_executions", **keys):
                call.database.add(
                    "file_executions", execution_id=found_id, file_path=path, file_hash=file.get("file_hash") or None
                )
                raise ValueError(f"duplicate key value violates unique constraint: {problem}") from None
        known = call.database.find("shown_files", **keys)[:1]
    if len(known) > 1:
        raise LookupError(f"get() returned more than one WorkflowFileExecution -- it returned {len(known)}!")
    return known[0]


def _insert(call: Call, execution_id: str, path: str | None, file: dict[str, Any]) -> None:
    name = str(file.get("file_name") or "")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"value too long for type character varying({NAME_LENGTH})\n")
    same = {column: file.get(column) for column in ("file_size", "provider_file_uuid", "mime_type", "fs_metadata")}
    with call.database.write():
        created_id = call.database.add(
            "file_executions", execution_id=execution_id, file_name=name, file_path=path,
            file_hash=file.get("file_hash") or None, **same,
        )  # fmt: skip
        call.effect("files.create", execution_id=execution_id, file=file.get("file_path"), file_execution_id=created_id)


@operation("POST", f"{FILE}/", failed("Failed to get/create file execution"))
def create(call: Call) -> Any:
    """The row of a file, 201 whether new or not, with the caller's path. A new row's status is empty."""
    body = call.fields("execution_id", error="execution_id is required")
    file = body.get("file_hash", {})
    path = file.get("file_path")
    return 201, {**pick(_got_or_created(call, body["execution_id"], file), SHOWN), "file_path": path}


@operation("GET", f"{FILE}/")
def listed(call: Call) -> Any:
    """All rows that match every filter; the storage's id counts only where no hash is given."""
    query = call.query
    ids = {name: valid_uuid(query[name]) for name in ("execution_id", "workflow_id") if query.get(name)}
    name = "file_hash" if query.get("file_hash") else "provider_file_uuid"
    where = {name: query.get(name), "organization_pk": call.filtered(), "file_path": query.get("file_path")}
    rows = call.database.find("shown_files", "number", **ids, **given(**where))
    return [pick(row, SHOWN) for row in rows]


def _demanded(call: Call) -> Row:
    row = call.scoped("shown_files", valid_uuid(call.parameter()))
    if row is None:
        problem = f"No file execution found with ID {call.parameter()}"
        error = {"code": "not_found", "detail": problem, "attr": None}
        raise refuse(404, type="client_error", errors=[error])
    return row


@operation("GET", f"{FILE}/{{id}}/")
def get(call: Call) -> Any:
    """One row."""
    return pick(_demanded(call), SHOWN)


def _write(call: Call, row: Row, status: str, error: str | None) -> None:
    """Status and error as given: an error that is left out is erased."""
    at = time.time()
    taken = round(at - row["created"], 3) if status in TERMINAL else row["execution_time"]
    values = {"status": status, "execution_error": error, "execution_time": taken, "modified": at}
    with call.database.write():
        call.database.update("file_executions", row["id"], **values)
        call.effect(
            "files.update_status", execution_id=row["execution_id"], file=row["id"], status=status,
            before=row["status"], error_message=error,
        )  # fmt: skip


@operation("POST", f"{FILE}/{{id}}/status/", failed("Failed to update file execution status"), parses=True)
def update_status(call: Call) -> Any:
    """Write one row's status; there is no state machine."""
    body = call.json()
    row = _demanded(call)
    fields = FieldErrors(body)
    status, error = fields.choice("status", STATUSES), fields.text("error_message")
    fields.number("execution_time")
    fields.text("result")
    fields.raise_any()
    _write(call, row, str(status), error)
    data = {"status": status} if error is None else {"status": status, "error_message": error}
    return {"status": "updated", "file_execution_id": row["id"], "data": data}


@operation("POST", f"{FILE}/batch-create/", failed("Failed to process batch file creation"))
def batch_create(call: Call) -> Any:
    """Rows for many files, 201 with the failures inside."""
    items = call.fields("file_executions", error="file_executions list is required")["file_executions"]
    made: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    for item in items:
        file = item.get("file_hash") or {}
        try:
            if not item.get("execution_id"):
                raise ValueError("execution_id is required")
            row = _got_or_created(call, item["execution_id"], file)
            made.append({**pick(row, "id file_name status"), "file_path": file.get("file_path")})
        except (Refused, ValueError, LookupError) as problem:
            text = NO_EXECUTION if isinstance(problem, Refused) else str(problem)
            bad.append({"file_name": file.get("file_name"), "error": text})
    return 201, {"successful_creations": made, "failed_creations": bad, "total_processed": len(items)}


@operation("POST", f"{FILE}/batch-status-update/", failed("Failed to process batch status update"))
def batch_update_status(call: Call) -> Any:
    """Statuses of many rows, 200 with the failures inside."""
    items = call.fields("status_updates", error="status_updates list is required")["status_updates"]
    written: list[dict[str, Any]] = []
    bad: list[dict[str, Any]] = []
    with call.database.write():
        for item in items:
            file_id, status = item.get("file_execution_id"), item.get("status")
            try:
                row = _to_update(call, file_id, status)
            except (ValueError, LookupError) as problem:
                bad.append({"file_execution_id": file_id, "error": str(problem)})
                continue
            _write(call, row, status, item.get("error_message"))
            written.append({"file_execution_id": row["id"], "status": status, "file_name": row["file_name"]})
    return {"successful_updates": written, "failed_updates": bad, "total_processed": len(items)}


def _to_update(call: Call, file_id: object, status: object) -> Row:
    if not file_id or not status:
        raise ValueError("file_execution_id and status are required")
    if status not in STATUSES:
        raise ValueError(f"'{status}' is not a valid ExecutionStatus")
    row = call.scoped("shown_files", valid_uuid(file_id))
    if row is None:
        raise LookupError("WorkflowFileExecution not found")
    return row


@operation("POST", f"{MANAGER}/file-execution/check-active", failed("Failed to check active files"))
def check_active(call: Call) -> Any:
    """The files by the storage's id on which another execution works, whatever statuses are sent. Of any organization.

    Row and execution are PENDING or EXECUTING. Of an id without a path any file counts.
    """
    body = call.fields()
    workflow_id, files = body.get("workflow_id"), body.get("files")
    asked = files or [{"uuid": str(each)} for each in body.get("provider_file_uuids") or ()]
    if not workflow_id or not asked:
        raise refuse(400, error="workflow_id and files (or provider_file_uuids) are required")
    if not all(isinstance(file, dict) and file.get("uuid") for file in asked):
        raise refuse(400, error="Each file must have 'uuid' field")
    found_id, current = valid_uuid(workflow_id), body.get("current_execution_id")
    current = valid_uuid(current) if current else None
    active: dict[str, list[dict[str, Any]]] = {}
    identifiers: list[str] = []
    for file in asked:
        uuid, path = str(file["uuid"]), file.get("path")
        where = {"provider_file_uuid": uuid, "workflow_id": found_id, **given(file_path=path)}
        rows = call.database.find("shown_files", "number", BUSY, **where)
        rows = [row for row in rows if row["execution_status"] in BUSY and row["execution_id"] != current]
        if rows:
            active.setdefault(uuid, []).extend(pick(row, ACTIVE) for row in rows)
            identifiers.append(f"{uuid}:{path}" if path else uuid)
    return {
        "active_files": active,
        "active_uuids": list(active),
        "active_identifiers": identifiers,
        "total_checked": len(asked),
        "total_active": len(identifiers),
        "cache_stats": {"db_queries": 2},
    }
