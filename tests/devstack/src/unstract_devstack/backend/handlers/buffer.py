"""webhook/buffer: events are collected, rendered together and sent, and marked when they have arrived."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import uuid
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend import clubbing
from unstract_devstack.backend.database import Row
from unstract_devstack.backend.rendering import EVENT_FIELDS
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now
from unstract_devstack.backend.wire import MalformedJson, refuse, reply, valid_uuid

REQUIRED = ("notification_id", "pipeline_id", "pipeline_name", "status", "platform", "execution_id")


def enqueue(call: Call) -> Response:
    """Store one event: 201 each time, equal events too. Of any organization."""
    try:
        body = call.fields()
    except MalformedJson:
        raise refuse(400, status="error", message="Invalid JSON body") from None
    starting = body.get("status") == "INPROGRESS"
    missing = [name for name in REQUIRED if not body.get(name) and not (starting and name == "execution_id")]
    if missing:
        raise refuse(400, status="error", message=f"Missing required fields: {', '.join(missing)}")
    notification = _notification(call, body["notification_id"])
    if starting and notification["notify_on_failures"]:
        return reply(200, {"status": "ok", "buffer_row_id": None})
    organization_pk = _organization(call, notification)
    row_id, at = str(uuid.uuid4()), now()
    wait = clubbing.interval(call.services, organization_pk)
    with call.database.write():
        call.database.insert(
            "notification_buffer",
            id=row_id,
            organization_pk=organization_pk,
            notification_id=notification["id"],
            platform=notification["platform"],
            event=json.dumps({name: body.get(name) for name in EVENT_FIELDS}),
            flush_after=at + wait,
            created=at,
        )
        call.effect(
            "notifications.enqueue",
            execution_id=body.get("execution_id"),
            notification_id=notification["id"],
            status=body["status"],
            buffer_row_id=row_id,
        )
    return reply(201, {"status": "success", "buffer_row_id": row_id})


def _notification(call: Call, value: Any) -> Row:
    row = call.database.one("SELECT * FROM notifications WHERE id = ?", (valid_uuid(value),))
    if row is None:
        raise refuse(404, status="error", message="Notification not found")
    return row


def _organization(call: Call, notification: Row) -> int:
    table, found_id = ("api_deployments", notification["api_id"])
    if found_id is None:
        table, found_id = ("pipelines", notification["pipeline_id"])
    row = call.database.one(f"SELECT organization_pk FROM {table} WHERE id = ?", (found_id,))
    return int(row["organization_pk"]) if row else -1


def process(call: Call) -> Response:
    """Send what is due."""
    done = clubbing.process(call.services)
    content = {
        "dispatched_groups": done.groups,
        "dispatched_rows": done.rows,
        "dead_letter_rows": 0,
        "reclaimed_rows": done.reclaimed,
        "gc_deleted_rows": 0,
    }
    return reply(200, {"status": "success", **content})


def mark_dispatched(call: Call) -> Response:
    """The rows have arrived."""
    return _mark(call, "DISPATCHED", "notifications.mark_dispatched")


def mark_dead_letter(call: Call) -> Response:
    """The rows will not arrive."""
    return _mark(call, "DEAD_LETTER", "notifications.mark_dead_letter")


def _mark(call: Call, status: str, operation: str) -> Response:
    """Only rows being sent and of that organization are marked; its number is wanted, a name fails."""
    body = call.fields()
    ids, organization = body.get("buffer_row_ids"), body.get("organization_id")
    if not ids or not organization:
        raise refuse(400, status="error", message="buffer_row_ids and organization_id are required")
    pk = int(organization)
    marks = ", ".join("?" * len(ids))
    with call.database.write() as connection:
        updated = connection.execute(
            f"UPDATE notification_buffer SET status = ? WHERE status = 'SENDING' AND organization_pk = ?"
            f" AND id IN ({marks})",
            (status, pk, *(valid_uuid(value) for value in ids)),
        ).rowcount
        if updated:
            call.effect(operation, buffer_row_ids=ids, updated=updated)
    return reply(200, {"status": "success", "updated": updated})
