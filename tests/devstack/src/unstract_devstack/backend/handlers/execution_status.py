"""workflow-execution: update_status, without a state machine, and the counters of increment-files."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import time
from typing import Any

from attrs import frozen

from unstract_devstack.backend.database import Row, given
from unstract_devstack.backend.handlers.executions import EXECUTION, STATUSES, TERMINAL
from unstract_devstack.backend.handlers.validation import FieldErrors
from unstract_devstack.backend.handlers.workflows import MANAGER
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import NoMatch, failed, operation, refuse, valid_uuid

ERROR_LENGTH = 256
INCREMENTED = "workflow_id, execution_id, and increment_type are required"


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


@operation("POST", f"{EXECUTION}/{{id}}/update_status/", failed("Failed to update workflow execution status"))
def update_status(call: Call) -> Any:
    """Write a status. Rows of the other transport keep COMPLETED and STOPPED, all others take anything."""
    body = call.json()
    try:
        execution_id = valid_uuid(call.parameter())
    except ValueError:
        raise NoMatch("") from None  # not found, without a word
    row = call.scoped("executions", execution_id)
    if row is None:
        raise NoMatch("No WorkflowExecution matches the given query.")
    update = checked(body)
    if row["queue_message_id"] and row["status"] in {"COMPLETED", "STOPPED"} and row["status"] != update.status:
        skipped = {"status": "skipped", "reason": "already_final"}
        return {**skipped, "execution_id": execution_id, "new_status": row["status"]}
    write(call, row, update)
    call.mirror(execution_id)
    return {"status": "updated", "execution_id": execution_id, "new_status": update.status}


def checked(body: object) -> Update:
    """The body's fields. Raises Refused with 400 and the problems by field."""
    fields = FieldErrors(body)
    status = fields.choice("status", STATUSES)
    total, good, bad, attempts = map(fields.whole, ("total_files", "successful_files", "failed_files", "attempts"))
    fields.number("execution_time")
    message = fields.text("error_message")
    cascade = fields.body.get("cascade_terminal_files") is True
    fields.raise_any()
    if (good is not None or bad is not None) and total is None:
        fields.add("total_files", "total_files is required when file aggregates are provided.")
    if total is not None:
        for name, count in (("successful_files", good), ("failed_files", bad)):
            if (count or 0) > total:
                fields.add(name, f"{name} cannot exceed total_files.")
        fields.raise_any()
        if (good or 0) + (bad or 0) > total:
            fields.add("non_field_errors", "successful_files + failed_files cannot exceed total_files.")
    if cascade and status not in TERMINAL:
        text = "cascade_terminal_files=True requires a terminal status (COMPLETED/ERROR/STOPPED)."
        fields.add("cascade_terminal_files", text)
    fields.raise_any()
    return Update(str(status), total, good, bad, attempts, message, cascade)


def write(call: Call, row: Row, update: Update) -> None:
    """Apply an update: absent fields stay, the error message too, attempts grow by one at most."""
    at, text = time.time(), update.error_message or ""
    counts = {name: getattr(update, name) for name in ("total_files", "successful_files", "failed_files")}
    values = given(
        status=update.status, modified=at, **counts,
        error_message=text if len(text) <= ERROR_LENGTH else text[: ERROR_LENGTH - 3] + "...",
        attempts=row["attempts"] + 1 if (update.attempts or 0) > row["attempts"] else None,
        execution_time=round(at - row["created"], 3) if update.status in TERMINAL else None,
    )  # fmt: skip
    with call.database.write() as connection:
        call.database.update("executions", row["id"], **values)
        if update.cascade:
            connection.execute(
                "UPDATE file_executions SET status = ?, execution_error = ?, modified = ? WHERE execution_id = ?"
                " AND status NOT IN ('COMPLETED', 'STOPPED', 'ERROR')",
                (update.status, update.error_message, at, row["id"]),
            )
        call.effect(
            "executions.update_status", execution_id=row["id"], status=update.status, before=row["status"],
            error_message=update.error_message, **counts,
        )  # fmt: skip


@operation("POST", f"{MANAGER}/increment-files/", failed("Failed to increment file count"))
def increment_files(call: Call) -> Any:
    """Count a file as done or failed; of any organization."""
    body = call.fields("workflow_id", "execution_id", "increment_type", error=INCREMENTED)
    kind = body["increment_type"]
    if kind not in {"completed", "failed"}:
        raise refuse(400, error=f"Invalid increment_type: {kind}. Must be 'completed' or 'failed'")
    found = valid_uuid(body["execution_id"])
    if call.database.get("executions", id=found) is None:
        raise refuse(404, error="Workflow execution not found")
    column = "successful_files" if kind == "completed" else "failed_files"
    with call.database.write() as connection:
        connection.execute(f"UPDATE executions SET {column} = COALESCE({column}, 0) + 1 WHERE id = ?", (found,))
        call.effect("executions.increment_files", execution_id=found, kind=kind)
    call.mirror(found)
    ids = {name: str(body[name]) for name in ("workflow_id", "execution_id")}
    return {"success": True, **ids, "increment_type": kind}
