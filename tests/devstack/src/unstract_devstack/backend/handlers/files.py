"""file-execution: create, list, get, status, and their batch forms."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import sqlite3
import uuid
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Row, matching, pick
from unstract_devstack.backend.handlers.executions import STATUSES, TERMINAL
from unstract_devstack.backend.handlers.validation import FieldErrors
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, zulu
from unstract_devstack.backend.wire import Refused, refuse, reply, standardized, valid_uuid

NAME_LENGTH = 255
NO_EXECUTION = "WorkflowExecution not found or access denied"
JOINED = "SELECT f.* FROM file_executions f JOIN executions e ON e.id = f.execution_id"


def _serialized(row: Row, path: str | None) -> dict[str, Any]:
    """The row; the path is the caller's where the row has none."""
    return {
        **pick(row, "id file_name file_size file_hash provider_file_uuid mime_type status execution_error"),
        "workflow_execution_id": row["execution_id"],
        "file_path": path,
        "fs_metadata": json.loads(row["fs_metadata"]) if row["fs_metadata"] else None,
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
    }


def _scoped(call: Call, file_execution_id: str) -> Row | None:
    """A row that the request's organization may see; without one any tenant's."""
    where, values = matching(("f.id", file_execution_id), ("e.organization_pk", call.scope.filtered()))
    return call.database.one(f"{JOINED} {where}", values)


def _got_or_created(call: Call, execution_id: object, file: dict[str, Any]) -> Row:
    """The row of a file in an execution, by path and hash or by path and the storage's id.

    Looked up first and inserted after, not as one step: two callers at once can both insert where the database does
    not forbid it, which is so for API files, since their path is stored as null. More than one row is an error.
    """
    found_id, organization = valid_uuid(execution_id), call.scope.filtered()
    execution = call.database.one("SELECT organization_pk FROM executions WHERE id = ?", (found_id,))
    if execution is None or organization not in (None, execution["organization_pk"]):
        raise refuse(404, error=NO_EXECUTION)
    path = None if file.get("source_connection_type") == "API" else file.get("file_path")
    known = _matching(call, found_id, path, file)
    if len(known) > 1:
        raise LookupError(f"get() returned more than one WorkflowFileExecution -- it returned {len(known)}!")
    if known:
        return known[0]
    created_id = str(uuid.uuid4())
    try:
        _insert(call, created_id, found_id, path, file)
    except sqlite3.IntegrityError as problem:
        return _after_conflict(call, found_id, path, file, problem)
    row = call.database.one("SELECT * FROM file_executions WHERE id = ?", (created_id,))
    assert row is not None
    return row


def _matching(call: Call, execution_id: str, path: str | None, file: dict[str, Any]) -> list[Row]:
    column = "file_hash" if file.get("file_hash") else "provider_file_uuid"
    return call.database.all(
        f"SELECT * FROM file_executions WHERE execution_id = ? AND file_path IS ? AND {column} IS ?",
        (execution_id, path, file.get(column)),
    )


def _insert(call: Call, created_id: str, execution_id: str, path: str | None, file: dict[str, Any]) -> None:
    at, metadata, name = now(), file.get("fs_metadata"), str(file.get("file_name") or "")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"value too long for type character varying({NAME_LENGTH})\n")
    with call.database.write():
        call.database.insert(
            "file_executions", id=created_id, execution_id=execution_id, file_name=name, file_path=path,
            file_size=file.get("file_size"), file_hash=file.get("file_hash") or None,
            provider_file_uuid=file.get("provider_file_uuid"), mime_type=file.get("mime_type"),
            fs_metadata=json.dumps(metadata) if metadata is not None else None, created=at, modified=at,
        )  # fmt: skip
        call.effect(
            "files.create", execution_id=execution_id, file=file.get("file_path"), file_execution_id=created_id
        )  # fmt: skip


def _after_conflict(
    call: Call, execution_id: str, path: str | None, file: dict[str, Any], problem: sqlite3.IntegrityError
) -> Row:
    """Another caller was first: its row. Else the other unique key: a half-made row stays, and the call fails."""
    known = _matching(call, execution_id, path, file)
    if known:
        return known[0]
    at = now()
    call.database.insert(
        "file_executions", id=str(uuid.uuid4()), execution_id=execution_id, file_path=path,
        file_hash=file.get("file_hash") or None, created=at, modified=at,
    )  # fmt: skip
    raise ValueError(f"duplicate key value violates unique constraint: {problem}")


def create(call: Call) -> Response:
    """The row of a file, 201 whether new or not. A new row's status is empty."""
    body = call.fields()
    if not body.get("execution_id"):
        raise refuse(400, error="execution_id is required")
    file = body.get("file_hash", {})
    path = file.get("file_path")
    return reply(201, _serialized(_got_or_created(call, body["execution_id"], file), path))


def listed(call: Call) -> Response:
    """All rows that match every filter; the storage's id counts only where no hash is given."""
    query = call.query
    ids = {name: valid_uuid(query[name]) for name in ("execution_id", "workflow_id") if query.get(name)}
    name = "file_hash" if query.get("file_hash") else "provider_file_uuid"
    where, values = matching(
        ("f.execution_id", ids.get("execution_id")), ("e.workflow_id", ids.get("workflow_id")),
        ("e.organization_pk", call.scope.filtered()), ("f.file_path", query.get("file_path")),
        (f"f.{name}", query.get(name)),
    )  # fmt: skip
    rows = call.database.all(f"{JOINED} {where} ORDER BY f.rowid", values)
    return reply(200, [_serialized(row, row["file_path"]) for row in rows])


def _demanded(call: Call) -> Row:
    row = _scoped(call, valid_uuid(call.parameter()))
    if row is None:
        raise Refused(standardized(404, "not_found", f"No file execution found with ID {call.parameter()}"))
    return row


def get(call: Call) -> Response:
    """One row."""
    row = _demanded(call)
    return reply(200, _serialized(row, row["file_path"]))


def _write(call: Call, row: Row, status: str, error: str | None) -> None:
    """Status and error as given: an error that is left out is erased."""
    at = now()
    taken = round(at - row["created"], 3) if status in TERMINAL else row["execution_time"]
    with call.database.write() as connection:
        connection.execute(
            "UPDATE file_executions SET status = ?, execution_error = ?, execution_time = ?, modified = ? WHERE id = ?",
            (status, error, taken, at, row["id"]),
        )
        call.effect(
            "files.update_status", execution_id=row["execution_id"], file=row["id"], status=status,
            before=row["status"], error_message=error,
        )  # fmt: skip


def update_status(call: Call) -> Response:
    """Write one row's status; there is no state machine."""
    body = call.json()
    row = _demanded(call)
    fields = FieldErrors(body)
    status, error = fields.choice("status", STATUSES), fields.text("error_message")
    fields.number("execution_time", whole=False)
    fields.text("result")
    fields.raise_any()
    _write(call, row, str(status), error)
    data = {"status": status} if error is None else {"status": status, "error_message": error}
    return reply(200, {"status": "updated", "file_execution_id": row["id"], "data": data})


def batch_create(call: Call) -> Response:
    """Rows for many files, 201 with the failures inside."""
    items = call.fields().get("file_executions")
    if not items:
        raise refuse(400, error="file_executions list is required")
    made: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for item in items:
        file = item.get("file_hash") or {}
        try:
            if not item.get("execution_id"):
                raise ValueError("execution_id is required")
            row = _got_or_created(call, item["execution_id"], file)
            made.append({**pick(row, "id file_name status"), "file_path": file.get("file_path")})
        except Refused:
            failed.append({"file_name": file.get("file_name"), "error": NO_EXECUTION})
        except (ValueError, LookupError) as problem:
            failed.append({"file_name": file.get("file_name"), "error": str(problem)})
    return reply(201, {"successful_creations": made, "failed_creations": failed, "total_processed": len(items)})


def batch_update_status(call: Call) -> Response:
    """Statuses of many rows, 200 with the failures inside."""
    items = call.fields().get("status_updates")
    if not items:
        raise refuse(400, error="status_updates list is required")
    written: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    with call.database.write():
        for item in items:
            file_id, status = item.get("file_execution_id"), item.get("status")
            try:
                row = _to_update(call, file_id, status)
            except (ValueError, LookupError) as problem:
                failed.append({"file_execution_id": file_id, "error": str(problem)})
                continue
            _write(call, row, status, item.get("error_message"))
            written.append({"file_execution_id": row["id"], "status": status, "file_name": row["file_name"]})
    return reply(200, {"successful_updates": written, "failed_updates": failed, "total_processed": len(items)})


def _to_update(call: Call, file_id: object, status: object) -> Row:
    if not file_id or not status:
        raise ValueError("file_execution_id and status are required")
    if status not in STATUSES:
        raise ValueError(f"'{status}' is not a valid ExecutionStatus")
    row = _scoped(call, valid_uuid(file_id))
    if row is None:
        raise LookupError("WorkflowFileExecution not found")
    return row
