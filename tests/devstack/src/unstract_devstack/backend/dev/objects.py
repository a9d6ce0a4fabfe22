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
CONNECTOR_ID = "local|00000000-0000-4000-8000-000000000000"
KINDS = {"api": "API", "etl": "ETL", "task": "TASK"}


def wrong(problem: Exception) -> Response:
    """400 with what is wrong with the request."""
    text = f"missing: {problem}" if isinstance(problem, KeyError) else str(problem)
    return reply(400, {"error": text or type(problem).__name__})


def demanded(call: Call, identifier: object) -> Organization:
    """The organization with this identifier. Raises Refused with 404."""
    found = call.services.organizations.by_identifier(str(identifier))
    if found is None:
        raise refuse(404, error=f"organization {identifier!r} is not there: POST /dev/organizations first")
    return found


def demanded_workflow(call: Call, organization: Organization, workflow_id: object) -> str:
    """The workflow's id, if it is this organization's. Raises Refused with 404."""
    query = "SELECT id FROM workflows WHERE id = ? AND organization_pk = ?"
    row = call.database.one(query, (str(workflow_id), organization.pk))
    if row is None:
        raise refuse(404, error=f"workflow {workflow_id!r} is not there: POST /dev/workflows first")
    return str(row["id"])


def organization(call: Call) -> Response:
    """Add an organization; one that is there stays as it is."""
    body = call.fields()
    key = body.get("platform_key", str(uuid.uuid4()))
    made = call.services.organizations.create(str(body["organization_id"]), str(body.get("name", "")), key)
    return reply(200, {"organization_id": made.identifier, "pk": made.pk})


def workflow(call: Call) -> Response:
    """Add a workflow with its endpoints."""
    body = call.fields()
    owner = demanded(call, body["organization_id"])
    kind = KINDS.get(str(body["kind"]))
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    fields = [_field(field) for field in body.get("fields") or []]
    source, folder, table = (body.get(n) for n in ("source_folder", "destination_folder", "destination_table"))
    _check(kind, source, folder, table)
    workflow_id, at = str(uuid.uuid4()), zulu_now()
    resolved = Path(source).resolve() if source else None
    with call.database.write():
        call.database.insert(
            "workflows",
            id=workflow_id,
            organization_pk=owner.pk,
            name=str(body.get("name") or "workflow"),
            type=kind,
            use_file_history=int(body.get("use_file_history", True)),
            history_limit=int(body.get("history_limit", call.services.config.history_limit)),
            fields=json.dumps(fields),
            source_root=str(resolved.parent) if resolved else None,
            source_folder=str(resolved) if resolved else None,
            destination_folder=str(Path(folder).resolve()) if folder else None,
            destination_table=table,
            max_files=int(body.get("max_files", 100)),
            created_at=at,
            modified_at=at,
        )
        for endpoint in _endpoints(kind, resolved, folder, table):
            call.database.insert("endpoints", id=str(uuid.uuid4()), workflow_id=workflow_id, **endpoint)
    return reply(200, {"workflow_id": workflow_id})


def _field(field: dict[str, Any]) -> dict[str, Any]:
    checked = Field(str(field["name"]), pattern=field.get("pattern"), key=field.get("key"))
    return {"name": checked.name, "pattern": checked.pattern, "key": checked.key}


def _check(kind: str, source: str | None, folder: str | None, table: str | None) -> None:
    if kind == "API":
        return
    if not source or not (folder or table):
        raise ValueError("an etl or task workflow needs source_folder and destination_folder or destination_table")
    if table and not TABLE_NAME.fullmatch(table):
        raise ValueError(f"destination_table {table!r} must be letters, digits and underscores")


def _endpoints(kind: str, source: Path | None, folder: str | None, table: str | None) -> list[dict[str, Any]]:
    if kind == "API":
        return [{"type": name, "connection_type": "API"} for name in ("SOURCE", "DESTINATION")]
    connector = {
        "connector_id": CONNECTOR_ID,
        "connector_name": "local folder",
        "connector_metadata": json.dumps(CONNECTOR_METADATA),
    }
    first = {"folders": [f"/{source.name}" if source else "/"], "processSubDirectories": True, "fileExtensions": []}
    second = {"table": table} if table else {"outputFolder": folder}
    return [
        {"type": "SOURCE", "connection_type": "FILESYSTEM", "configuration": json.dumps(first), **connector},
        {
            "type": "DESTINATION",
            "connection_type": "DATABASE" if table else "FILESYSTEM",
            "configuration": json.dumps(second),
            **connector,
        },
    ]


def tool_instance(call: Call) -> Response:
    """Add a tool to a workflow; with a fault its validation fails for that reason."""
    body = call.fields()
    owner = demanded(call, body["organization_id"])
    workflow_id, instance_id = demanded_workflow(call, owner, body["workflow_id"]), str(uuid.uuid4())
    call.database.insert(
        "tool_instances",
        id=instance_id,
        workflow_id=workflow_id,
        tool_id=str(body.get("tool_id", "text_extractor")),
        metadata=json.dumps({"tool_instance_id": instance_id}),
        fault=body.get("fault"),
    )
    return reply(200, {"tool_instance_id": instance_id})


def api_deployment(call: Call) -> Response:
    """Publish an API workflow."""
    body = call.fields()
    owner = demanded(call, body["organization_id"])
    workflow_id, api_id, at = (demanded_workflow(call, owner, body["workflow_id"]), str(uuid.uuid4()), zulu_now())
    name = str(body["api_name"])
    call.database.insert(
        "api_deployments",
        id=api_id,
        organization_pk=owner.pk,
        workflow_id=workflow_id,
        api_name=name,
        display_name=str(body.get("display_name") or name),
        created_at=at,
        modified_at=at,
    )
    return reply(200, {"api_id": api_id, "url": f"/deployment/api/{owner.identifier}/{name}/"})


def pipeline(call: Call) -> Response:
    """Add a pipeline to an ETL or TASK workflow."""
    body = call.fields()
    owner = demanded(call, body["organization_id"])
    workflow_id, pipeline_id, at = (demanded_workflow(call, owner, body["workflow_id"]), str(uuid.uuid4()), zulu_now())
    call.database.insert(
        "pipelines",
        id=pipeline_id,
        organization_pk=owner.pk,
        workflow_id=workflow_id,
        name=str(body.get("name") or "pipeline"),
        type=str(body.get("type") or "ETL").upper(),
        active=int(body.get("active", True)),
        created_at=at,
        modified_at=at,
    )
    return reply(200, {"pipeline_id": pipeline_id})


def notification(call: Call) -> Response:
    """Add a webhook to an API deployment or a pipeline."""
    body = call.fields()
    demanded(call, body["organization_id"])
    if bool(body.get("api_id")) == bool(body.get("pipeline_id")):
        raise ValueError("give either api_id or pipeline_id")
    notification_id = str(uuid.uuid4())
    call.database.insert(
        "notifications",
        id=notification_id,
        api_id=body.get("api_id"),
        pipeline_id=body.get("pipeline_id"),
        platform=str(body.get("platform") or "API").upper(),
        url=str(body["url"]),
        authorization_type=str(body.get("authorization_type") or "NONE"),
        authorization_key=body.get("authorization_key"),
        authorization_header=body.get("authorization_header"),
        max_retries=int(body.get("max_retries") or 0),
        notify_on_failures=int(bool(body.get("notify_on_failures"))),
    )
    return reply(200, {"notification_id": notification_id})


def configuration(call: Call) -> Response:
    """Set a value of an organization."""
    body = call.fields()
    owner = demanded(call, body["organization_id"])
    with call.database.write() as connection:
        connection.execute(
            "INSERT OR REPLACE INTO configurations (organization_pk, key, value) VALUES (?, ?, ?)",
            (owner.pk, str(body["key"]), json.dumps(body["value"])),
        )
    return reply(200, {"key": body["key"], "value": body["value"]})
