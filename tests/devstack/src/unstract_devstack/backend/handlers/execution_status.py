"""workflow-execution: update_status, without a state machine, and the counters of increment-files."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

from attrs import frozen
from starlette.responses import Response

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers.executions import STATUSES, TERMINAL, mirror, scoped_execution
from unstract_devstack.backend.handlers.validation import FieldErrors
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now
from unstract_devstack.backend.wire import NoMatch, refuse, reply, valid_uuid

ERROR_LENGTH = 256


@frozen
class Update:
    """A checked body; None is absent."""

    status: str
    total_files: int | None
    successful_files: int | None
    failed_files: int | None
    attempts: int | None
    error_message: str | None
    cascade: bool


def update_status(call: Call) -> Response:
    """Write a status. Rows of the other transport keep COMPLETED and STOPPED, all others take anything."""
    body = call.json()
    execution_id = _findable(call.parameter())
    row = scoped_execution(call, execution_id)
    if row is None:
        raise NoMatch("No WorkflowExecution matches the given query.")
    update = checked(body)
    if row["queue_message_id"] and row["status"] in {"COMPLETED", "STOPPED"} and row["status"] != update.status:
        skipped = {"status": "skipped", "reason": "already_final"}
        return reply(200, {**skipped, "execution_id": execution_id, "new_status": row["status"]})
    write(call, row, update)
    call.after.append(lambda: mirror(call.services, execution_id))
    return reply(200, {"status": "updated", "execution_id": execution_id, "new_status": update.status})


def _findable(value: str) -> str:
    """The id; one that is no UUID is not found, without a word."""
    try:
        return valid_uuid(value)
    except ValueError:
        raise NoMatch("") from None


def checked(body: object) -> Update:
    """The body's fields. Raises Refused with 400 and the problems by field."""
    fields = FieldErrors(body)
    status = fields.choice("status", STATUSES)
    numbers = {name: fields.number(name) for name in ("total_files", "successful_files", "failed_files", "attempts")}
    fields.number("execution_time", whole=False)
    message = fields.text("error_message")
    cascade = fields.body.get("cascade_terminal_files") is True
    fields.raise_any()
    total, good, bad = (int(n) if n is not None else None for n in list(numbers.values())[:3])
    if (good is not None or bad is not None) and total is None:
        fields.add("total_files", "total_files is required when file aggregates are provided.")
    if total is not None:
        if good is not None and good > total:
            fields.add("successful_files", "successful_files cannot exceed total_files.")
        if bad is not None and bad > total:
            fields.add("failed_files", "failed_files cannot exceed total_files.")
        fields.raise_any()
        if (good or 0) + (bad or 0) > total:
            fields.add("non_field_errors", "successful_files + failed_files cannot exceed total_files.")
    if cascade and status not in TERMINAL:
        text = "cascade_terminal_files=True requires a terminal status (COMPLETED/ERROR/STOPPED)."
        fields.add("cascade_terminal_files", text)
    fields.raise_any()
    attempts = numbers["attempts"]
    return Update(str(status), total, good, bad, int(attempts) if attempts is not None else None, message, cascade)


def write(call: Call, row: Row, update: Update) -> None:
    """Apply an update: absent fields stay, the error message too, attempts grow by one at most."""
    at = now()
    values: dict[str, str | int | float] = {"status": update.status, "modified": at}
    for name in ("total_files", "successful_files", "failed_files"):
        number = getattr(update, name)
        if number is not None:
            values[name] = number
    if update.error_message:
        text = update.error_message
        values["error_message"] = text if len(text) <= ERROR_LENGTH else text[: ERROR_LENGTH - 3] + "..."
    if update.attempts is not None and update.attempts > row["attempts"]:
        values["attempts"] = row["attempts"] + 1
    if update.status in TERMINAL:
        values["execution_time"] = round(at - row["created"], 3)
    columns = ", ".join(f"{name} = ?" for name in values)
    with call.database.write() as connection:
        connection.execute(f"UPDATE executions SET {columns} WHERE id = ?", (*values.values(), row["id"]))
        if update.cascade:
            connection.execute(
                "UPDATE file_executions SET status = ?, execution_error = ?, modified = ? WHERE execution_id = ?"
                " AND status NOT IN ('COMPLETED', 'STOPPED', 'ERROR')",
                (update.status, update.error_message, at, row["id"]),
            )
        call.effect(
            "executions.update_status",
            execution_id=row["id"],
            status=update.status,
            before=row["status"],
            total_files=update.total_files,
            successful_files=update.successful_files,
            failed_files=update.failed_files,
            error_message=update.error_message,
        )


def increment_files(call: Call) -> Response:
    """Count a file as done or failed; of any organization."""
    body = call.fields()
    workflow_id, execution_id, kind = (body.get(n) for n in ("workflow_id", "execution_id", "increment_type"))
    if not (workflow_id and execution_id and kind):
        raise refuse(400, error="workflow_id, execution_id, and increment_type are required")
    if kind not in {"completed", "failed"}:
        raise refuse(400, error=f"Invalid increment_type: {kind}. Must be 'completed' or 'failed'")
    found = valid_uuid(execution_id)
    if call.database.one("SELECT 1 FROM executions WHERE id = ?", (found,)) is None:
        raise refuse(404, error="Workflow execution not found")
    column = "successful_files" if kind == "completed" else "failed_files"
    with call.database.write() as connection:
        connection.execute(f"UPDATE executions SET {column} = COALESCE({column}, 0) + 1 WHERE id = ?", (found,))
        call.effect("executions.increment_files", execution_id=found, kind=kind)
    call.after.append(lambda: mirror(call.services, found))
    content = {"workflow_id": str(workflow_id), "execution_id": str(execution_id), "increment_type": kind}
    return reply(200, {"success": True, **content})
