"""webhook/pipeline and webhook/api: names and active targets; webhook/send: one notification onto the default queue."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import re
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend import clubbing
from unstract_devstack.backend.database import Row, pick
from unstract_devstack.backend.handlers.pipelines import managed
from unstract_devstack.backend.handlers.validation import REQUIRED, FieldErrors
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import zulu_now
from unstract_devstack.backend.wire import NoMatch, refuse, reply, valid_uuid

AUTHORIZATIONS = ("BEARER", "API_KEY", "CUSTOM_HEADER", "NONE")
URL = re.compile(
    r"^https?://(?:localhost|(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]+\]|(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+)(?::\d{1,5})?(?:[/?#]\S*)?$",
    re.IGNORECASE,
)
COUNTS = ("total_files", "successful_files", "failed_files")


def of_pipeline(call: Call) -> Response:
    """Targets of a pipeline; takes an API deployment's id too. Not found is 404."""
    found_id = valid_uuid(call.parameter())
    row, kind = managed(call, "pipelines", found_id), None
    if row is None:
        row, kind = managed(call, "api_deployments", found_id), "API"
    if row is None:
        raise refuse(404, status="error", message="Pipeline or API deployment not found")
    name = row["api_name"] if kind else row["name"]
    head = {"pipeline_id": found_id, "pipeline_name": name, "pipeline_type": kind or row["type"]}
    return reply(200, {"status": "success", **head, **_targets(call, "api_id" if kind else "pipeline_id", found_id)})


def of_api(call: Call) -> Response:
    """Targets of an API deployment. Not found is 500."""
    row = _api(call)
    return reply(200, {"status": "success", **_api_names(row), **_targets(call, "api_id", row["id"])})


def pipeline(call: Call) -> Response:
    """A pipeline's name and last status. Not found is 500."""
    row = managed(call, "pipelines", valid_uuid(call.parameter()))
    if row is None:
        raise NoMatch("No Pipeline matches the given query.")
    head = {"pipeline_id": row["id"], "pipeline_name": row["name"], "pipeline_type": row["type"]}
    return reply(200, {"status": "success", **head, "last_run_status": row["last_run_status"]})


def api(call: Call) -> Response:
    """An API deployment's names. Not found is 500."""
    row = _api(call)
    return reply(200, {"status": "success", **_api_names(row), "is_active": bool(row["is_active"])})


def _api(call: Call) -> Row:
    row = managed(call, "api_deployments", valid_uuid(call.parameter()))
    if row is None:
        raise NoMatch("No APIDeployment matches the given query.")
    return row


def _api_names(row: Row) -> dict[str, Any]:
    return {"api_id": row["id"], **pick(row, "api_name display_name")}


def _targets(call: Call, column: str, found_id: str) -> dict[str, Any]:
    """Active targets. With an execution, those for failures only are left out unless it failed (unknown: left out)."""
    rows = call.database.all(
        f"SELECT * FROM notifications WHERE {column} = ? AND is_active = 1 ORDER BY rowid", (found_id,)
    )
    counts: dict[str, int] = {}
    if "execution_id" in call.query:
        execution = call.database.one(
            "SELECT * FROM executions WHERE id = ? AND organization_pk = ?",
            (valid_uuid(call.query["execution_id"]), call.scope.managed()),
        )
        failed = False
        if execution is not None:
            counts = {name: execution[name] or 0 for name in COUNTS}
            failed = execution["status"] in {"ERROR", "STOPPED"} or counts["failed_files"] > 0
        if not failed:
            rows = [row for row in rows if not row["notify_on_failures"]]
    return {"notifications": [_target(row) for row in rows], "execution_counts": counts}


def _target(row: Row) -> dict[str, Any]:
    return {
        **pick(row, "id platform url authorization_type authorization_key authorization_header max_retries"),
        "notification_type": "WEBHOOK",
        "is_active": bool(row["is_active"]),
        "notify_on_failures": bool(row["notify_on_failures"]),
    }


def send(call: Call) -> Response:
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
    timeout = fields.number("timeout", low=1, high=300)
    retries = fields.number("max_retries", low=0, high=10)
    delay = fields.number("retry_delay", low=1)
    fields.raise_any()
    target: dict[str, Any] = {"authorization_type": kind, "authorization_key": key, "authorization_header": header}
    args = [body["url"], body["payload"], clubbing.headers_of(target), int(timeout or 30)]
    kwargs = {"max_retries": int(retries if retries is not None else 3), "retry_delay": int(delay or 60)}
    task_id = call.services.producer.webhook(args, kwargs, None)
    with call.database.write():
        call.effect("webhooks.send", url=body["url"], task_id=task_id)
    content = {"task_id": task_id, "notification_id": body.get("notification_id"), "url": body["url"]}
    return reply(202, {**content, "status": "queued", "queued_at": zulu_now()})
