"""Dev API: organizations, workflows and what hangs on them."""

import json
import uuid
from pathlib import Path
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.destinations import TABLE_NAME
from unstract_devstack.backend.organizations import Organization
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import zulu_now
from unstract_devstack.backend.wire import refuse, reply
from unstract_devstack.extraction import Field

CANARY = "canary-credential-never-to-be-logged"
"""Stands for a connector's secret: it must turn up nowhere but in the answers that carry it."""
CONNECTOR_METADATA = {"connectorName": "local folder", "key": "dev-access-key", "secret": CANARY}
CONNECTOR = {
    "connector_id": "local|00000000-0000-4000-8000-000000000000",
    "connector_name": "local folder",
    "connector_metadata": json.dumps(CONNECTOR_METADATA),
}
KINDS = {"api": "API", "etl": "ETL", "task": "TASK"}


def _owner(call: Call) -> Organization:
    """The organization that the body names. Raises Refused with 404."""
    identifier = call.fields()["organization_id"]
    found = call.services.organizations.by_identifier(str(identifier))
    if found is None:
        raise refuse(404, error=f"organization {identifier!r} is not there: POST /dev/organizations first")
    return found


def _workflow(call: Call) -> dict[str, Any]:
    """The columns that tie a row to the workflow and the organization that the body names. Raises Refused with 404."""
    owner, workflow_id = _owner(call), call.fields()["workflow_id"]
    query = "SELECT id FROM workflows WHERE id = ? AND organization_pk = ?"
    if call.database.one(query, (str(workflow_id), owner.pk)) is None:
        raise refuse(404, error=f"workflow {workflow_id!r} is not there: POST /dev/workflows first")
    return {"organization_pk": owner.pk, "workflow_id": str(workflow_id)}


def _added(call: Call, table: str, **values: Any) -> str:
    """The id of a new row."""
    row_id = str(uuid.uuid4())
    call.database.insert(table, id=row_id, **values)
    return row_id


def organization(call: Call) -> Response:
    """Add an organization; one that is there stays as it is."""
    body = call.fields()
    key = body.get("platform_key", str(uuid.uuid4()))
    made = call.services.organizations.create(str(body["organization_id"]), str(body.get("name", "")), key)
    return reply(200, {"organization_id": made.identifier, "pk": made.pk})


def workflow(call: Call) -> Response:
    """Add a workflow with its endpoints."""
    body, owner = call.fields(), _owner(call)
    kind = KINDS.get(str(body["kind"]))
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    fields = [Field(str(each["name"]), each.get("pattern"), each.get("key")) for each in body.get("fields") or []]
    source, folder, table = (body.get(n) for n in ("source_folder", "destination_folder", "destination_table"))
    if kind != "API" and not (source and (folder or table)):
        raise ValueError("an etl or task workflow needs source_folder and destination_folder or destination_table")
    if table and not TABLE_NAME.fullmatch(table):
        raise ValueError(f"destination_table {table!r} must be letters, digits and underscores")
    at, resolved = zulu_now(), Path(source).resolve() if source else None
    with call.database.write():
        workflow_id = _added(
            call, "workflows", organization_pk=owner.pk, name=str(body.get("name") or "workflow"), type=kind,
            use_file_history=int(body.get("use_file_history", True)),
            history_limit=int(body.get("history_limit", call.services.config.history_limit)),
            fields=json.dumps([{"name": each.name, "pattern": each.pattern, "key": each.key} for each in fields]),
            source_root=str(resolved.parent) if resolved else None, source_folder=str(resolved) if resolved else None,
            destination_folder=str(Path(folder).resolve()) if folder else None, destination_table=table,
            max_files=int(body.get("max_files", 100)), created_at=at, modified_at=at,
        )  # fmt: skip
        for endpoint in _endpoints(kind, resolved, folder, table):
            _added(call, "endpoints", workflow_id=workflow_id, **endpoint)
    return reply(200, {"workflow_id": workflow_id})


def _endpoints(kind: str, source: Path | None, folder: str | None, table: str | None) -> list[dict[str, Any]]:
    if kind == "API":
        return [{"type": name, "connection_type": "API"} for name in ("SOURCE", "DESTINATION")]
    folders = [f"/{source.name}" if source else "/"]
    first = {"folders": folders, "processSubDirectories": True, "fileExtensions": []}
    second, kind = ({"table": table}, "DATABASE") if table else ({"outputFolder": folder}, "FILESYSTEM")
    return [
        {"type": "SOURCE", "connection_type": "FILESYSTEM", "configuration": json.dumps(first), **CONNECTOR},
        {"type": "DESTINATION", "connection_type": kind, "configuration": json.dumps(second), **CONNECTOR},
    ]


def tool_instance(call: Call) -> Response:
    """Add a tool to a workflow; with a fault its validation fails for that reason."""
    body, workflow_id = call.fields(), _workflow(call)["workflow_id"]
    metadata = {"tool_instance_id": str(uuid.uuid4()), **body.get("metadata", {})}
    tool = {"tool_id": str(body.get("tool_id", "text_extractor")), "fault": body.get("fault")}
    made = _added(call, "tool_instances", workflow_id=workflow_id, metadata=json.dumps(metadata), **tool)
    return reply(200, {"tool_instance_id": made})


def api_deployment(call: Call) -> Response:
    """Publish an API workflow."""
    body, owner, at = call.fields(), _workflow(call), zulu_now()
    name = str(body["api_name"])
    names = {"api_name": name, "display_name": str(body.get("display_name") or name)}
    api_id = _added(call, "api_deployments", **owner, **names, created_at=at, modified_at=at)
    return reply(200, {"api_id": api_id, "url": f"/deployment/api/{body['organization_id']}/{name}/"})


def pipeline(call: Call) -> Response:
    """Add a pipeline to an ETL or TASK workflow."""
    body, owner, at = call.fields(), _workflow(call), zulu_now()
    names = {"name": str(body.get("name") or "pipeline"), "type": str(body.get("type") or "ETL").upper()}
    active = int(body.get("active", True))
    made = _added(call, "pipelines", **owner, **names, active=active, created_at=at, modified_at=at)
    return reply(200, {"pipeline_id": made})


def notification(call: Call) -> Response:
    """Add a webhook to an API deployment or a pipeline."""
    body = call.fields()
    _owner(call)
    if bool(body.get("api_id")) == bool(body.get("pipeline_id")):
        raise ValueError("give either api_id or pipeline_id")
    same = {name: body.get(name) for name in ("api_id", "pipeline_id", "authorization_key", "authorization_header")}
    made = _added(
        call, "notifications", **same, platform=str(body.get("platform") or "API").upper(), url=str(body["url"]),
        authorization_type=str(body.get("authorization_type") or "NONE"), max_retries=int(body.get("max_retries") or 0),
        notify_on_failures=int(bool(body.get("notify_on_failures"))),
    )  # fmt: skip
    return reply(200, {"notification_id": made})


def configuration(call: Call) -> Response:
    """Set a value of an organization."""
    body, owner = call.fields(), _owner(call)
    with call.database.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO configurations (organization_pk, key, value) VALUES (?, ?, ?)",
            (owner.pk, str(body["key"]), json.dumps(body["value"])),
        )
    return reply(200, {"key": body["key"], "value": body["value"]})
