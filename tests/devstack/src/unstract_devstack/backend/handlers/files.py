"""file-execution: create, list, get, status, and their batch forms."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.failures import standardized
from unstract_devstack.backend.handlers.execution_rows import STATUSES, TERMINAL
from unstract_devstack.backend.handlers.file_rows import got_or_created, scoped_file, serialized
from unstract_devstack.backend.handlers.validation import FieldErrors
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now
from unstract_devstack.backend.wire import Refused, Reply, refuse, reply, valid_uuid


def create(call: Call) -> Reply:
    """The row of a file, 201 whether new or not. A new row's status is empty."""
    body = call.fields()
    if not body.get("execution_id"):
        raise refuse(400, error="execution_id is required")
    file = body.get("file_hash", {})
    path = file.get("file_path")
    return reply(201, serialized(got_or_created(call, body["execution_id"], file), path))


def listed(call: Call) -> Reply:
    """All rows that match every filter; the storage's id counts only where no hash is given."""
    conditions, values = ["1 = 1"], []
    organization = call.scope.filtered()
    if organization is not None:
        conditions.append("e.organization_pk = ?")
        values.append(str(organization))
    query = call.request.query
    for name, column in (("execution_id", "f.execution_id"), ("workflow_id", "e.workflow_id")):
        if query.get(name):
            conditions.append(f"{column} = ?")
            values.append(valid_uuid(query[name]))
    names = ["file_path", "file_hash"] if query.get("file_hash") else ["file_path", "provider_file_uuid"]
    for name in names:
        if query.get(name):
            conditions.append(f"f.{name} = ?")
            values.append(query[name])
    rows = call.database.all(
        "SELECT f.* FROM file_executions f JOIN executions e ON e.id = f.execution_id"
        f" WHERE {' AND '.join(conditions)} ORDER BY f.rowid",
        values,
    )
    return reply(200, [serialized(row, row["file_path"]) for row in rows])


def _demanded(call: Call) -> Row:
    row = scoped_file(call, valid_uuid(call.parameters["id"]))
    if row is None:
        text = f"No file execution found with ID {call.parameters['id']}"
        raise Refused(standardized(404, "not_found", text))
    return row


def get(call: Call) -> Reply:
    """One row."""
    row = _demanded(call)
    return reply(200, serialized(row, row["file_path"]))


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
            "files.update_status",
            execution_id=row["execution_id"],
            file=row["id"],
            status=status,
            before=row["status"],
            error_message=error,
        )


def update_status(call: Call) -> Reply:
    """Write one row's status; there is no state machine."""
    body = call.request.json()
    row = _demanded(call)
    fields = FieldErrors(body)
    status, error = fields.choice("status", STATUSES), fields.text("error_message")
    fields.number("execution_time", whole=False)
    fields.text("result")
    fields.raise_any()
    _write(call, row, str(status), error)
    data = {"status": status} if error is None else {"status": status, "error_message": error}
    return reply(200, {"status": "updated", "file_execution_id": row["id"], "data": data})


def batch_create(call: Call) -> Reply:
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
            row = got_or_created(call, item["execution_id"], file)
            shown = {"id": row["id"], "file_name": row["file_name"], "file_path": file.get("file_path")}
            made.append({**shown, "status": row["status"]})
        except Refused:
            failed.append({"file_name": file.get("file_name"), "error": "WorkflowExecution not found or access denied"})
        except (ValueError, LookupError) as problem:
            failed.append({"file_name": file.get("file_name"), "error": str(problem)})
    return reply(201, {"successful_creations": made, "failed_creations": failed, "total_processed": len(items)})


def batch_update_status(call: Call) -> Reply:
    """Statuses of many rows, 200 with the failures inside."""
    items = call.fields().get("status_updates")
    if not items:
        raise refuse(400, error="status_updates list is required")
    written: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    with call.database.write():
        for item in items:
            file_id, status = item.get("file_execution_id"), item.get("status")
            problem = _batch_problem(file_id, status)
            row = None
            if problem is None:
                row = scoped_file(call, valid_uuid(file_id))
                problem = "WorkflowFileExecution not found" if row is None else None
            if row is None:
                failed.append({"file_execution_id": file_id, "error": problem})
                continue
            _write(call, row, status, item.get("error_message"))
            written.append({"file_execution_id": row["id"], "status": status, "file_name": row["file_name"]})
    return reply(200, {"successful_updates": written, "failed_updates": failed, "total_processed": len(items)})


def _batch_problem(file_id: object, status: object) -> str | None:
    if not file_id or not status:
        return "file_execution_id and status are required"
    if status not in STATUSES:
        return f"'{status}' is not a valid ExecutionStatus"
    try:
        valid_uuid(file_id)
    except ValueError as problem:
        return str(problem)
    return None
