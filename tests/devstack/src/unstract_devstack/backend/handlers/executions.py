"""workflow-execution: retrieve and list."""

import json
from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers import workflow_rows
from unstract_devstack.backend.handlers.execution_rows import WITH_NAMES, scoped_execution, serialized, visible_pipeline
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import zulu
from unstract_devstack.backend.wire import NoMatch, Reply, refuse, reply, valid_uuid


def retrieve(call: Call) -> Reply:
    """An execution with its whole context. Absent is 404, another organization's is 500."""
    execution_id = valid_uuid(call.parameters["id"])
    row = scoped_execution(call, execution_id)
    if row is None:
        if call.database.one("SELECT 1 FROM executions WHERE id = ?", (execution_id,)) is None:
            raise refuse(404, error="WorkflowExecution not found")
        raise NoMatch("No WorkflowExecution matches the given query.")
    workflow = call.database.one("SELECT * FROM workflows WHERE id = ?", (row["workflow_id"],))
    assert workflow is not None
    organization = call.services.organizations.by_pk(row["organization_pk"])
    assert organization is not None
    endpoints = workflow_rows.endpoints(call.database, row["workflow_id"]) if call.scope.managed() >= 0 else {}
    with_files = call.request.query.get("file_execution", "true").lower() != "false"
    with_cost = call.request.query.get("include_cost", "false").lower() == "true"
    content = {
        "execution": serialized(call, row),
        "workflow_definition": _definition(workflow),
        "source_config": _source(call, row, endpoints),
        "destination_config": _destination(workflow, endpoints),
        "organization_context": {
            "organization_id": organization.identifier,
            "organization_name": organization.name,
            "settings": {},
        },
        "file_executions": _files(call, execution_id) if with_files else [],
        "aggregated_usage_cost": _cost(call, execution_id) if with_cost else None,
    }
    return reply(200, content)


def _definition(workflow: Row) -> dict[str, Any]:
    return {
        "workflow_id": workflow["id"],
        "workflow_name": workflow["name"],
        "workflow_type": workflow["type"],
        "description": workflow["description"],
        "source_settings": {},
        "destination_settings": {},
        "is_active": True,
        "status": "ready",
    }


def _source(call: Call, row: Row, endpoints: dict[str, Row]) -> dict[str, Any]:
    """Where files come from; is_api is true only for a run of an API deployment."""
    source = endpoints.get("SOURCE")
    content: dict[str, Any] = {
        "type": "general_workflow",
        "source_settings": json.loads(source["configuration"]) if source else {},
        "is_api": False,
    }
    if row["pipeline_id"] is not None:
        visible = visible_pipeline(call, row["pipeline_id"])
        content["type"] = "pipeline" if visible else "pipeline_not_found"
        if visible:
            content["pipeline_id"] = visible
            if call.database.one("SELECT 1 FROM api_deployments WHERE id = ?", (visible,)):
                content["type"], content["is_api"] = "api_deployment", True
    content.update(workflow_rows.connector_settings(source))
    return content


def _destination(workflow: Row, endpoints: dict[str, Row]) -> dict[str, Any]:
    destination = endpoints.get("DESTINATION")
    connection = destination["connection_type"] if destination else "FILESYSTEM"
    content: dict[str, Any] = {
        "connection_type": connection,
        "settings": json.loads(destination["configuration"]) if destination else {},
        "is_api": connection == "API",
        "use_file_history": bool(workflow["use_file_history"]),
    }
    content.update(workflow_rows.connector_settings(destination))
    source = endpoints.get("SOURCE")
    if source is not None and source["connector_id"]:
        content["source_connector_id"] = source["connector_id"]
        content["source_connector_settings"] = json.loads(source["connector_metadata"])
    return content


def _files(call: Call, execution_id: str) -> list[dict[str, Any]]:
    rows = call.database.all("SELECT * FROM file_executions WHERE execution_id = ? ORDER BY rowid", (execution_id,))
    return [
        {
            "created_at": zulu(row["created"]),
            "modified_at": zulu(row["modified"]),
            "id": row["id"],
            "workflow_execution_id": execution_id,
            "file_name": row["file_name"],
            "file_path": row["file_path"],
            "file_size": row["file_size"],
            "file_hash": row["file_hash"],
            "provider_file_uuid": row["provider_file_uuid"],
            "fs_metadata": json.loads(row["fs_metadata"]) if row["fs_metadata"] else None,
            "mime_type": row["mime_type"],
            "status": row["status"],
            "execution_time": row["execution_time"],
            "execution_error": row["execution_error"],
        }
        for row in rows
    ]


def _cost(call: Call, execution_id: str) -> float | None:
    row = call.database.one(
        "SELECT SUM(u.cost) AS cost FROM usage u JOIN file_executions f ON f.id = u.file_execution_id"
        " WHERE f.execution_id = ?",
        (execution_id,),
    )
    return float(row["cost"]) if row and row["cost"] is not None else None


def listed(call: Call) -> Reply:
    """All executions that match, newest first; no pages."""
    conditions, values = ["1 = 1"], []
    organization = call.scope.filtered()
    if organization is not None:
        conditions.append("e.organization_pk = ?")
        values.append(str(organization))
    query = call.request.query
    if query.get("workflow_id"):
        conditions.append("e.workflow_id = ?")
        values.append(valid_uuid(query["workflow_id"]))
    wanted = query.get("status__in", "").split(",") if query.get("status__in") else []
    if query.get("status"):
        wanted.append(query["status"])
    if wanted:
        conditions.append(f"e.status IN ({', '.join('?' * len(wanted))})")
        values.extend(wanted)
    rows = call.database.all(
        f"{WITH_NAMES} WHERE {' AND '.join(conditions)} ORDER BY e.created DESC, e.rowid DESC", values
    )
    return reply(200, [serialized(call, row) for row in rows])
