"""workflow-manager: workflow, endpoints, tool instances, and the creation of executions."""

import json
import uuid
from typing import Any

from unstract_devstack.backend.handlers import workflow_rows
from unstract_devstack.backend.handlers.execution_rows import create_execution, mirror
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import with_offset
from unstract_devstack.backend.wire import Reply, refuse, reply, valid_uuid

GONE = "Workflow not found or access denied"


def workflow(call: Call) -> Reply:
    """A workflow with both endpoints, credentials merged in."""
    workflow_id = valid_uuid(call.parameters["workflow_id"])
    row = call.database.one(
        "SELECT * FROM workflows WHERE id = ? AND organization_pk = ?", (workflow_id, call.scope.both())
    )
    if row is None:
        raise refuse(404, error=GONE)
    found = workflow_rows.endpoints(call.database, workflow_id)
    shown = {}
    for kind in ("SOURCE", "DESTINATION"):
        endpoint = found.get(kind)
        empty: dict[str, Any] = {
            "endpoint_id": "",
            "endpoint_type": kind,
            "connection_type": "NONE",
            "configuration": {},
        }
        shown[kind] = workflow_rows.serialized_endpoint(endpoint, merged=True) if endpoint else empty
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


def endpoint(call: Call) -> Reply:
    """Both endpoints of a workflow."""
    workflow_id = valid_uuid(call.parameters["workflow_id"])
    if workflow_rows.managed_workflow(call, workflow_id) is None:
        raise refuse(404, error=GONE)
    found = workflow_rows.endpoints(call.database, workflow_id)
    shown = {
        kind: workflow_rows.serialized_endpoint(found[kind], merged=False) if kind in found else None
        for kind in ("SOURCE", "DESTINATION")
    }
    content = {
        "workflow_id": workflow_id,
        "source_endpoint": shown["SOURCE"],
        "destination_endpoint": shown["DESTINATION"],
        "has_api_endpoints": any(row["connection_type"] == "API" for row in found.values()),
    }
    return reply(200, content)


def tool_instances(call: Call) -> Reply:
    """The tools of a workflow, in their order."""
    organization = call.scope.demanded()
    workflow_id = valid_uuid(call.parameters["workflow_id"])
    query = "SELECT 1 FROM workflows WHERE id = ? AND organization_pk = ?"
    if call.database.one(query, (workflow_id, organization.pk)) is None:
        raise refuse(404, error=f"Workflow {workflow_id} not found for organization {organization.identifier}")
    rows = call.database.all("SELECT * FROM tool_instances WHERE workflow_id = ? ORDER BY step, rowid", (workflow_id,))
    shown = [
        {
            "id": row["id"],
            "tool_id": row["tool_id"],
            "step": row["step"],
            "status": row["status"],
            "version": row["version"],
            "metadata": json.loads(row["metadata"]),
            "input": None,
            "output": None,
        }
        for row in rows
    ]
    return reply(200, {"tool_instances": shown})


def create(call: Call) -> Reply:
    """A new PENDING execution, each time. Without a pipeline and without a log id the row can not be stored."""
    organization = call.scope.demanded()
    body = call.fields()
    workflow_id = valid_uuid(body["workflow_id"])
    query = "SELECT 1 FROM workflows WHERE id = ? AND organization_pk = ?"
    if call.database.one(query, (workflow_id, organization.pk)) is None:
        raise refuse(404, error="Workflow not found")
    pipeline = body.get("pipeline_id")
    log_id = body.get("log_events_id") or pipeline
    if not log_id:
        raise ValueError("execution_log_id is null")
    execution_id = str(uuid.uuid4())
    with call.database.write():
        create_execution(
            call.database,
            execution_id,
            organization.pk,
            workflow_id,
            pipeline_id=str(pipeline) if pipeline else None,
            execution_log_id=str(log_id),
            execution_mode=str(body.get("mode") or "INSTANT"),
            execution_method="SCHEDULED" if body.get("scheduled") else "DIRECT",
            total_files=int(body.get("total_files") or 0),
        )
        call.effect("executions.create", execution_id=execution_id, workflow_id=workflow_id, pipeline_id=pipeline)
    call.after.append(lambda: mirror(call.services, execution_id))
    content = {"execution_id": execution_id, "status": "PENDING", "execution_log_id": log_id, "transport": "celery"}
    return reply(200, content)


def execution(call: Call) -> Reply:
    """Broken in the platform: reads a field that rows do not have."""
    if call.scope.raw is None:
        call.scope.demanded()
    execution_id = valid_uuid(call.parameters["execution_id"])
    if call.database.one("SELECT 1 FROM executions WHERE id = ?", (execution_id,)) is None:
        raise refuse(404, error=f"Workflow execution {execution_id} not found")
    raise AttributeError("completed_files")


def shadowed(call: Call) -> Reply:
    """Paths that the broken view above hides: GET fails in it, other methods are not allowed."""
    call.scope.demanded()
    raise AttributeError("the view of one execution answers here")
