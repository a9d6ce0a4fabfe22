"""Dev API: organizations, workflows and what hangs on them."""

import json
import uuid
from pathlib import Path
from typing import Any

from attrs import asdict

from unstract_devstack.backend.database import Row, given
from unstract_devstack.backend.destinations import TABLE_NAME
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import ERROR_CAUSE, operation, refuse
from unstract_devstack.extraction import Field

CANARY = "canary-credential-never-to-be-logged"
"""Stands for a connector's secret: it must turn up nowhere but in the answers that carry it."""
CONNECTOR_METADATA = {"connectorName": "local folder", "key": "dev-access-key", "secret": CANARY}
CONNECTOR = {
    "connector_id": "local|00000000-0000-4000-8000-000000000000",
    "connector_name": "local folder",
    "connector_metadata": CONNECTOR_METADATA,
}
KINDS = ("api", "etl", "task")


def _owner(call: Call) -> Row:
    """The organization that the body names. Raises Refused with 404."""
    identifier = call.fields()["organization_id"]
    found = call.services.organization(str(identifier))
    if found is None:
        raise refuse(404, error=f"organization {identifier!r} is not there: POST /dev/organizations first")
    return found


def _tied(call: Call) -> dict[str, Any]:
    """The columns that tie a row to the workflow and the organization that the body names. Raises Refused with 404."""
    keys = {"id": str(call.fields()["workflow_id"]), "organization_pk": _owner(call)["pk"]}
    if call.database.get("workflows", **keys) is None:
        raise refuse(404, error=f"workflow {keys['id']!r} is not there: POST /dev/workflows first")
    return {"organization_pk": keys["organization_pk"], "workflow_id": keys["id"]}


@operation("POST", "/dev/organizations", ERROR_CAUSE)
def organization(call: Call) -> Any:
    """Add an organization; one that is there stays as it is."""
    body = call.fields()
    identifier, key = str(body["organization_id"]), body.get("platform_key", str(uuid.uuid4()))
    with call.database.write():
        if call.services.organization(identifier) is None:
            name = str(body.get("name", ""))
            call.database.insert("organizations", organization_id=identifier, name=name, platform_key=key)
        (made,) = call.database.find("organizations", organization_id=identifier)
    return {"organization_id": identifier, "pk": made["pk"]}


@operation("POST", "/dev/workflows", ERROR_CAUSE)
def workflow(call: Call) -> Any:
    """Add a workflow with its endpoints."""
    body, owner, kind = call.fields(), _owner(call), str(call.fields()["kind"])
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    fields = [
        asdict(Field(str(each["name"]), each.get("pattern"), each.get("key"))) for each in body.get("fields") or []
    ]
    source, folder, table = (body.get(n) for n in ("source_folder", "destination_folder", "destination_table"))
    if kind != "api" and not (source and (folder or table)):
        raise ValueError("an etl or task workflow needs source_folder and destination_folder or destination_table")
    if table and not TABLE_NAME.fullmatch(table):
        raise ValueError(f"destination_table {table!r} must be letters, digits and underscores")
    resolved = Path(source).resolve() if source else None
    same = {name: body[name] for name in ("use_file_history", "max_files") if name in body}
    with call.database.write():
        workflow_id = call.database.add(
            "workflows", organization_pk=owner["pk"], name=str(body.get("name") or "workflow"), type=kind.upper(),
            history_limit=body.get("history_limit", call.services.config.history_limit), fields=fields,
            source_root=str(resolved.parent) if resolved else None, source_folder=str(resolved) if resolved else None,
            destination_folder=str(Path(folder).resolve()) if folder else None, destination_table=table, **same,
        )  # fmt: skip
        for endpoint in _endpoints(kind, resolved, folder, table):
            call.database.add("endpoints", workflow_id=workflow_id, **endpoint)
    return {"workflow_id": workflow_id}


def _endpoints(kind: str, source: Path | None, folder: str | None, table: str | None) -> list[dict[str, Any]]:
    if kind == "api":
        return [{"type": name, "connection_type": "API"} for name in ("SOURCE", "DESTINATION")]
    folders = [f"/{source.name}" if source else "/"]
    first = {"folders": folders, "processSubDirectories": True, "fileExtensions": []}
    second, to = ({"table": table}, "DATABASE") if table else ({"outputFolder": folder}, "FILESYSTEM")
    return [
        {"type": "SOURCE", "connection_type": "FILESYSTEM", "configuration": first, **CONNECTOR},
        {"type": "DESTINATION", "connection_type": to, "configuration": second, **CONNECTOR},
    ]


@operation("POST", "/dev/tool-instances", ERROR_CAUSE)
def tool_instance(call: Call) -> Any:
    """Add a tool to a workflow; with a fault its validation fails for that reason."""
    body, workflow_id = call.fields(), _tied(call)["workflow_id"]
    metadata = {"tool_instance_id": str(uuid.uuid4()), **body.get("metadata", {})}
    tool = {"tool_id": str(body.get("tool_id", "text_extractor")), "fault": body.get("fault")}
    return {"tool_instance_id": call.database.add("tool_instances", workflow_id=workflow_id, metadata=metadata, **tool)}


@operation("POST", "/dev/api-deployments", ERROR_CAUSE)
def api_deployment(call: Call) -> Any:
    """Publish an API workflow."""
    body, name = call.fields(), str(call.fields()["api_name"])
    names = {"api_name": name, "display_name": str(body.get("display_name") or name)}
    api_id = call.database.add("api_deployments", **_tied(call), **names)
    return {"api_id": api_id, "url": f"/deployment/api/{body['organization_id']}/{name}/"}


@operation("POST", "/dev/pipelines", ERROR_CAUSE)
def pipeline(call: Call) -> Any:
    """Add a pipeline to an ETL or TASK workflow."""
    body = call.fields()
    names = {"name": str(body.get("name") or "pipeline"), "type": str(body.get("type") or "ETL").upper()}
    made = call.database.add("pipelines", **_tied(call), **names, active=bool(body.get("active", True)))
    return {"pipeline_id": made}


@operation("POST", "/dev/notifications", ERROR_CAUSE)
def notification(call: Call) -> Any:
    """Add a webhook to an API deployment or a pipeline."""
    body = call.fields()
    _owner(call)
    if bool(body.get("api_id")) == bool(body.get("pipeline_id")):
        raise ValueError("give either api_id or pipeline_id")
    names = (
        "api_id", "pipeline_id", "authorization_type", "authorization_key", "authorization_header", "max_retries",
        "notify_on_failures",
    )  # fmt: skip
    target = given(**{name: body.get(name) for name in names})
    platform = str(body.get("platform") or "API").upper()
    return {"notification_id": call.database.add("notifications", url=str(body["url"]), platform=platform, **target)}


@operation("POST", "/dev/configuration", ERROR_CAUSE)
def configuration(call: Call) -> Any:
    """Set a value of an organization."""
    body, owner = call.fields(), _owner(call)
    keys = {"organization_pk": owner["pk"], "key": str(body["key"])}
    with call.database.write() as connection:
        connection.execute("DELETE FROM configurations WHERE organization_pk = ? AND key = ?", tuple(keys.values()))
        call.database.insert("configurations", **keys, value=json.dumps(body["value"]))
    return {"key": body["key"], "value": body["value"]}
