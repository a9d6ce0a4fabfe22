"""workflow-manager: workflow, endpoints, tool instances, and the creation of executions."""

import json
import uuid
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Database, Row, pick
from unstract_devstack.backend.handlers import executions
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import with_offset
from unstract_devstack.backend.wire import refuse, reply, valid_uuid

GONE = "Workflow not found or access denied"
KINDS = ("SOURCE", "DESTINATION")


def endpoints(database: Database, workflow_id: str) -> dict[str, Row]:
    """The endpoints of a workflow by type: SOURCE, DESTINATION."""
    rows = database.all("SELECT * FROM endpoints WHERE workflow_id = ?", (workflow_id,))
    return {row["type"]: row for row in rows}


def connector_settings(endpoint: Row | None) -> dict[str, Any]:
    """The connector of an endpoint as an execution's context shows it: credentials and all."""
    if endpoint is None or not endpoint["connector_id"]:
        return {}
    return {
        **pick(endpoint, "connector_id connector_name"),
        "connector_settings": json.loads(endpoint["connector_metadata"]),
    }


def _serialized_endpoint(endpoint: Row, *, merged: bool) -> dict[str, Any]:
    """An endpoint; merged: its configuration holds the connector's credentials too."""
    configuration = json.loads(endpoint["configuration"])
    names = {"endpoint_id": endpoint["id"], "endpoint_type": endpoint["type"]}
    content = {**names, "connection_type": endpoint["connection_type"], "configuration": configuration}
    if endpoint["connector_id"]:
        metadata = json.loads(endpoint["connector_metadata"])
        if merged:
            content["configuration"] = {**metadata, **configuration}
        connector = pick(endpoint, "connector_id connector_name")
        content["connector_instance"] = {**connector, "connector_metadata": metadata}
    return content


def managed_workflow(call: Call, workflow_id: str, organization_pk: int | None = None) -> Row | None:
    """A workflow of the request's organization (or of this one); without one there is none."""
    pk = call.scope.managed() if organization_pk is None else organization_pk
    return call.database.one("SELECT * FROM workflows WHERE id = ? AND organization_pk = ?", (workflow_id, pk))


def workflow(call: Call) -> Response:
    """A workflow with both endpoints, credentials merged in."""
    workflow_id = valid_uuid(call.parameter("workflow_id"))
    row = managed_workflow(call, workflow_id, call.scope.both())
    if row is None:
        raise refuse(404, error=GONE)
    found, shown = endpoints(call.database, workflow_id), {}
    for kind in KINDS:
        empty: dict[str, Any] = {
            "endpoint_id": "", "endpoint_type": kind, "connection_type": "NONE", "configuration": {}
        }  # fmt: skip
        shown[kind] = _serialized_endpoint(found[kind], merged=True) if kind in found else empty
    organization = call.services.organizations.by_pk(row["organization_pk"])
    content = {
        "id": workflow_id,
        "workflow_id": workflow_id,
        "workflow_name": row["name"],
        "workflow_type": row["type"],
        "source_config": shown["SOURCE"],
        "destination_config": shown["DESTINATION"],
        "organization_id": organization.identifier if organization else None,
        "created_at": with_offset(row["created_at"]),
        "modified_at": with_offset(row["modified_at"]),
        "is_active": True,
    }
    return reply(200, content)


def endpoint(call: Call) -> Response:
    """Both endpoints of a workflow."""
    workflow_id = valid_uuid(call.parameter("workflow_id"))
    if managed_workflow(call, workflow_id) is None:
        raise refuse(404, error=GONE)
    found = endpoints(call.database, workflow_id)
    source, destination = (
        _serialized_endpoint(found[kind], merged=False) if kind in found else None for kind in KINDS
    )  # fmt: skip
    is_api = any(row["connection_type"] == "API" for row in found.values())
    both = {"source_endpoint": source, "destination_endpoint": destination}
    return reply(200, {"workflow_id": workflow_id, **both, "has_api_endpoints": is_api})


def tool_instances(call: Call) -> Response:
    """The tools of a workflow, in their order."""
    organization = call.scope.demanded()
    workflow_id = valid_uuid(call.parameter("workflow_id"))
    if managed_workflow(call, workflow_id, organization.pk) is None:
        raise refuse(404, error=f"Workflow {workflow_id} not found for organization {organization.identifier}")
    rows = call.database.all("SELECT * FROM tool_instances WHERE workflow_id = ? ORDER BY step, rowid", (workflow_id,))
    shown = [
        {
            **pick(row, "id tool_id step status version"),
            "metadata": json.loads(row["metadata"]),
            "input": None,
            "output": None,
        }
        for row in rows
    ]
    return reply(200, {"tool_instances": shown})


def create(call: Call) -> Response:
    """A new PENDING execution, each time. Without a pipeline and without a log id the row can not be stored."""
    organization = call.scope.demanded()
    body = call.fields()
    workflow_id = valid_uuid(body["workflow_id"])
    if managed_workflow(call, workflow_id, organization.pk) is None:
        raise refuse(404, error="Workflow not found")
    pipeline = body.get("pipeline_id")
    log_id = body.get("log_events_id") or pipeline
    if not log_id:
        raise ValueError("execution_log_id is null")
    execution_id = str(uuid.uuid4())
    with call.database.write():
        executions.create_execution(
            call.database, execution_id, organization.pk, workflow_id,
            pipeline_id=str(pipeline) if pipeline else None, execution_log_id=str(log_id),
            execution_mode=str(body.get("mode") or "INSTANT"),
            execution_method="SCHEDULED" if body.get("scheduled") else "DIRECT",
            total_files=int(body.get("total_files") or 0),
        )  # fmt: skip
        call.effect("executions.create", execution_id=execution_id, workflow_id=workflow_id, pipeline_id=pipeline)
    call.after.append(lambda: executions.mirror(call.services, execution_id))
    content = {"execution_id": execution_id, "status": "PENDING", "execution_log_id": log_id, "transport": "celery"}
    return reply(200, content)


def execution(call: Call) -> Response:
    """Broken in the platform: reads a field that rows do not have."""
    if call.scope.raw is None:
        call.scope.demanded()
    execution_id = valid_uuid(call.parameter("execution_id"))
    if call.database.one("SELECT 1 FROM executions WHERE id = ?", (execution_id,)) is None:
        raise refuse(404, error=f"Workflow execution {execution_id} not found")
    raise AttributeError("completed_files")


def shadowed(call: Call) -> Response:
    """Paths that the broken view above hides: GET fails in it, other methods are not allowed."""
    call.scope.demanded()
    raise AttributeError("the view of one execution answers here")
