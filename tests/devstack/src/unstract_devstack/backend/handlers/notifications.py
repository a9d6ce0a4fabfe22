"""webhook: names and active targets; one notification onto the default queue; buffered ones, collected and marked."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import re
import time
from typing import Any

from unstract_devstack.backend import notification_buffer
from unstract_devstack.backend.database import Row, given, pick, zulu_now
from unstract_devstack.backend.handlers.validation import REQUIRED, FieldErrors
from unstract_devstack.backend.services import NOWHERE, Call
from unstract_devstack.backend.wire import PAGE, STATUS_MESSAGE, MalformedJson, NoMatch, operation, refuse, valid_uuid

WEBHOOK = "/internal/v1/webhook"
AUTHORIZATIONS = ("BEARER", "API_KEY", "CUSTOM_HEADER", "NONE")
URL = re.compile(
    r"^https?://(?:localhost|(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]+\]|(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+)(?::\d{1,5})?(?:[/?#]\S*)?$",
    re.IGNORECASE,
)
COUNTS = ("total_files", "successful_files", "failed_files")
TARGET = (
    "id platform url authorization_type authorization_key authorization_header max_retries is_active notify_on_failures"
)
OF_AN_EVENT = ("notification_id", "pipeline_id", "pipeline_name", "status", "platform", "execution_id")


def _pipeline(row: Row, kind: str, name: str) -> dict[str, Any]:
    return {"status": "success", "pipeline_id": row["id"], "pipeline_name": name, "pipeline_type": kind}


def _api(call: Call) -> tuple[Row, dict[str, Any]]:
    """An API deployment, and its names."""
    row = call.row("api_deployments", valid_uuid(call.parameter()))
    if row is None:
        raise NoMatch("No APIDeployment matches the given query.")
    return row, {"status": "success", "api_id": row["id"], **pick(row, "api_name display_name")}


@operation("GET", f"{WEBHOOK}/pipeline/{{id}}/notifications/", STATUS_MESSAGE, plain=True)
def of_pipeline(call: Call) -> Any:
    """Targets of a pipeline; takes an API deployment's id too. Not found is 404."""
    found_id = valid_uuid(call.parameter())
    row = call.row("pipelines", found_id)
    if row is not None:
        return {**_pipeline(row, row["type"], row["name"]), **_targets(call, pipeline_id=found_id)}
    row = call.row("api_deployments", found_id)
    if row is None:
        raise refuse(404, status="error", message="Pipeline or API deployment not found")
    return {**_pipeline(row, "API", row["api_name"]), **_targets(call, api_id=found_id)}


@operation("GET", f"{WEBHOOK}/api/{{id}}/notifications/", STATUS_MESSAGE, plain=True)
def of_api(call: Call) -> Any:
    """Targets of an API deployment. Not found is 500."""
    row, names = _api(call)
    return {**names, **_targets(call, api_id=row["id"])}


@operation("GET", f"{WEBHOOK}/pipeline/{{id}}/", STATUS_MESSAGE, plain=True)
def pipeline(call: Call) -> Any:
    """A pipeline's name and last status. Not found is 500."""
    row = call.row("pipelines", valid_uuid(call.parameter()))
    if row is None:
        raise NoMatch("No Pipeline matches the given query.")
    return {**_pipeline(row, row["type"], row["name"]), "last_run_status": row["last_run_status"]}


@operation("GET", f"{WEBHOOK}/api/{{id}}/", STATUS_MESSAGE, plain=True)
def api(call: Call) -> Any:
    """An API deployment's names. Not found is 500."""
    row, names = _api(call)
    return {**names, "is_active": row["is_active"]}


def _targets(call: Call, **owner: str) -> dict[str, Any]:
    """Active targets. With an execution, those for failures only are left out unless it failed (unknown: left out)."""
    rows = call.database.find("notifications", "rowid", is_active=1, **owner)
    counts: dict[str, int] = {}
    if "execution_id" in call.query:
        execution, failed = call.row("executions", valid_uuid(call.query["execution_id"])), False
        if execution is not None:
            counts = {name: execution[name] or 0 for name in COUNTS}
            failed = execution["status"] in {"ERROR", "STOPPED"} or counts["failed_files"] > 0
        rows = [row for row in rows if failed or not row["notify_on_failures"]]
    shown = [{**pick(row, TARGET), "notification_type": "WEBHOOK"} for row in rows]
    return {"notifications": shown, "execution_counts": counts}


@operation("POST", f"{WEBHOOK}/send/", parses=True)
def send(call: Call) -> Any:
    """202 with the task's id. A host of a single label is no URL to the platform."""
    fields = FieldErrors(call.json())
    body = fields.body
    for name in ("url", "payload"):
        if name not in body:
            fields.add(name, REQUIRED)
    if "url" in body and not URL.match(str(body["url"])):
        fields.add("url", "Enter a valid URL.")
    kind = fields.choice("authorization_type", AUTHORIZATIONS, required=False) or "NONE"
    key, header = fields.text("authorization_key"), fields.text("authorization_header")
    timeout, retries = fields.whole("timeout", 1, 300), fields.whole("max_retries", 0, 10)
    delay = fields.whole("retry_delay", 1)
    fields.raise_any()
    target = {"authorization_type": kind, "authorization_key": key, "authorization_header": header}
    args = [body["url"], body["payload"], notification_buffer.headers_of(target), timeout or 30]
    kwargs = {"max_retries": 3 if retries is None else retries, "retry_delay": delay or 60}
    task_id = call.services.producer.webhook(args, kwargs, None)
    with call.database.write():
        call.effect("webhooks.send", url=body["url"], task_id=task_id)
    content = {"task_id": task_id, "notification_id": body.get("notification_id"), "url": body["url"]}
    return 202, {**content, "status": "queued", "queued_at": zulu_now()}


@operation("POST", f"{WEBHOOK}/buffer/enqueue/", PAGE, plain=True)
def enqueue(call: Call) -> Any:
    """Store one event: 201 each time, equal events too. Of any organization."""
    try:
        body = call.fields()
    except MalformedJson:
        raise refuse(400, status="error", message="Invalid JSON body") from None
    starting = body.get("status") == "INPROGRESS"
    missing = [name for name in OF_AN_EVENT if not body.get(name) and not (starting and name == "execution_id")]
    if missing:
        raise refuse(400, status="error", message=f"Missing required fields: {', '.join(missing)}")
    target = call.database.get("notifications", id=valid_uuid(body["notification_id"]))
    if target is None:
        raise refuse(404, status="error", message="Notification not found")
    if starting and target["notify_on_failures"]:
        return {"status": "ok", "buffer_row_id": None}
    table, owner_id = (
        ("api_deployments", target["api_id"]) if target["api_id"] else ("pipelines", target["pipeline_id"])
    )
    owner = call.database.get(table, id=owner_id)
    organization_pk = owner["organization_pk"] if owner else NOWHERE
    with call.database.write():
        row_id = call.database.add(
            "notification_buffer", organization_pk=organization_pk, **pick(target, "platform"),
            notification_id=target["id"], event={name: body.get(name) for name in notification_buffer.EVENT_FIELDS},
            flush_after=time.time() + notification_buffer.interval(call.services, organization_pk),
        )  # fmt: skip
        same = given(execution_id=body.get("execution_id"))
        detail = {"notification_id": target["id"], "status": body["status"], "buffer_row_id": row_id}
        call.effect("notifications.enqueue", **same, **detail)
    return 201, {"status": "success", "buffer_row_id": row_id}


@operation("POST", f"{WEBHOOK}/buffer/process/", PAGE, plain=True)
def process(call: Call) -> Any:
    """Send what is due."""
    done = notification_buffer.process(call.services)
    return {"status": "success", **done, "dead_letter_rows": 0, "gc_deleted_rows": 0}


@operation("POST", f"{WEBHOOK}/buffer/mark/dispatched/", PAGE, plain=True)
def mark_dispatched(call: Call) -> Any:
    """The rows have arrived."""
    return _mark(call, "DISPATCHED", "notifications.mark_dispatched")


@operation("POST", f"{WEBHOOK}/buffer/mark/dead-letter/", PAGE, plain=True)
def mark_dead_letter(call: Call) -> Any:
    """The rows will not arrive."""
    return _mark(call, "DEAD_LETTER", "notifications.mark_dead_letter")


def _mark(call: Call, status: str, effect: str) -> Any:
    """Only rows being sent and of that organization are marked; its number is wanted, a name fails."""
    message = "buffer_row_ids and organization_id are required"
    body = call.fields("buffer_row_ids", "organization_id", status="error", message=message)
    pk, ids = int(body["organization_id"]), body["buffer_row_ids"]
    with call.database.write() as connection:
        updated = connection.execute(
            "UPDATE notification_buffer SET status = ? WHERE status = 'SENDING' AND organization_pk = ?"
            f" AND id IN ({', '.join('?' * len(ids))})",
            (status, pk, *map(valid_uuid, ids)),
        ).rowcount
        if updated:
            call.effect(effect, buffer_row_ids=ids, updated=updated)
    return {"status": "success", "updated": updated}
