"""workflow-execution: retrieve and list; how execution rows are found, made, serialized, and mirrored into Redis."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Database, Row, matching, pick
from unstract_devstack.backend.handlers import workflows
from unstract_devstack.backend.services import Call, Services
from unstract_devstack.backend.status_cache import CachedStatus
from unstract_devstack.backend.timestamps import now, zulu
from unstract_devstack.backend.wire import NoMatch, refuse, reply, valid_uuid

TERMINAL = frozenset({"COMPLETED", "STOPPED", "ERROR"})
STATUSES = ("PENDING", "EXECUTING", "COMPLETED", "STOPPED", "ERROR")
WITH_NAMES = "SELECT e.*, w.name AS workflow_name FROM executions e JOIN workflows w ON w.id = e.workflow_id"
SHOWN = (
    "id workflow_id workflow_name task_id execution_mode execution_method execution_log_id status total_files"
    " error_message attempts execution_time"
)
FILE_SHOWN = (
    "id file_name file_path file_size file_hash provider_file_uuid mime_type status execution_time execution_error"
)


def scoped_execution(call: Call, execution_id: str) -> Row | None:
    """The row if the request's organization may see it; without one, every tenant's."""
    where, values = matching(("e.id", execution_id), ("e.organization_pk", call.scope.filtered()))
    return call.database.one(f"{WITH_NAMES} {where}", values)


def create_execution(
    database: Database, execution_id: str, organization_pk: int, workflow_id: str, **values: Any
) -> None:
    """Add a PENDING row."""
    times = {"created": now(), "modified": now()}
    ids = {"id": execution_id, "organization_pk": organization_pk, "workflow_id": workflow_id}
    database.insert("executions", **ids, **times, **values)


def mirror(services: Services, execution_id: str) -> None:
    """Write an execution's status into Redis, as each save of a row does; only API runs have a total there."""
    row = services.database.one(
        "SELECT e.*, w.type AS kind FROM executions e JOIN workflows w ON w.id = e.workflow_id WHERE e.id = ?",
        (execution_id,),
    )
    if row is not None:
        total = row["total_files"] if row["kind"] == "API" else 0
        counts = (total, row["successful_files"] or 0, row["failed_files"] or 0)
        services.cache.write(CachedStatus(row["workflow_id"], row["id"], row["status"], *counts))


def _visible_pipeline(call: Call, pipeline_id: str | None) -> str | None:
    """The id if it is of a pipeline or API deployment that the request's organization manages, else None."""
    for table in ("pipelines", "api_deployments"):
        query = f"SELECT 1 FROM {table} WHERE id = ? AND organization_pk = ?"
        if pipeline_id is not None and call.database.one(query, (pipeline_id, call.scope.managed())):
            return pipeline_id
    return None


def _serialized(call: Call, row: Row) -> dict[str, Any]:
    """The row as lists and the retrieve answer show it: without counts of good and bad files."""
    return {
        **pick(row, SHOWN),
        "pipeline_id": _visible_pipeline(call, row["pipeline_id"]),
        "execution_type": "COMPLETE",
        "result_acknowledged": bool(row["result_acknowledged"]),
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
        "tags": json.loads(row["tags"]),
    }


def retrieve(call: Call) -> Response:
    """An execution with its whole context. Absent is 404, another organization's is 500."""
    execution_id = valid_uuid(call.parameter())
    row = scoped_execution(call, execution_id)
    if row is None:
        if call.database.one("SELECT 1 FROM executions WHERE id = ?", (execution_id,)) is None:
            raise refuse(404, error="WorkflowExecution not found")
        raise NoMatch("No WorkflowExecution matches the given query.")
    workflow = call.database.one("SELECT * FROM workflows WHERE id = ?", (row["workflow_id"],))
    organization = call.services.organizations.by_pk(row["organization_pk"])
    assert workflow is not None
    assert organization is not None
    endpoints = workflows.endpoints(call.database, row["workflow_id"]) if call.scope.managed() >= 0 else {}
    with_files = call.query.get("file_execution", "true").lower() != "false"
    with_cost = call.query.get("include_cost", "false").lower() == "true"
    owner = {"organization_id": organization.identifier, "organization_name": organization.name, "settings": {}}
    content = {
        "execution": _serialized(call, row),
        "workflow_definition": _definition(workflow),
        "source_config": _source(call, row, endpoints),
        "destination_config": _destination(workflow, endpoints),
        "organization_context": owner,
        "file_executions": _files(call, execution_id) if with_files else [],
        "aggregated_usage_cost": _cost(call, execution_id) if with_cost else None,
    }
    return reply(200, content)


def _definition(workflow: Row) -> dict[str, Any]:
    names = {"workflow_id": workflow["id"], "workflow_name": workflow["name"], "workflow_type": workflow["type"]}
    settings: dict[str, Any] = {"source_settings": {}, "destination_settings": {}}
    return {**names, "description": workflow["description"], **settings, "is_active": True, "status": "ready"}


def _source(call: Call, row: Row, endpoints: dict[str, Row]) -> dict[str, Any]:
    """Where files come from; is_api is true only for a run of an API deployment."""
    source = endpoints.get("SOURCE")
    settings = json.loads(source["configuration"]) if source else {}
    content: dict[str, Any] = {"type": "general_workflow", "source_settings": settings, "is_api": False}
    if row["pipeline_id"] is not None:
        visible = _visible_pipeline(call, row["pipeline_id"])
        content["type"] = "pipeline" if visible else "pipeline_not_found"
        if visible:
            content["pipeline_id"] = visible
            if call.database.one("SELECT 1 FROM api_deployments WHERE id = ?", (visible,)):
                content["type"], content["is_api"] = "api_deployment", True
    return content | workflows.connector_settings(source)


def _destination(workflow: Row, endpoints: dict[str, Row]) -> dict[str, Any]:
    source, destination = endpoints.get("SOURCE"), endpoints.get("DESTINATION")
    connection = destination["connection_type"] if destination else "FILESYSTEM"
    content: dict[str, Any] = {
        "connection_type": connection,
        "settings": json.loads(destination["configuration"]) if destination else {},
        "is_api": connection == "API",
        "use_file_history": bool(workflow["use_file_history"]),
    }
    content |= workflows.connector_settings(destination)
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
            "workflow_execution_id": execution_id,
            "fs_metadata": json.loads(row["fs_metadata"]) if row["fs_metadata"] else None,
            **pick(row, FILE_SHOWN),
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


def listed(call: Call) -> Response:
    """All executions that match, newest first; no pages."""
    workflow_id = call.query.get("workflow_id")
    where, values = matching(
        ("e.organization_pk", call.scope.filtered()), ("e.workflow_id", workflow_id and valid_uuid(workflow_id))
    )
    wanted = [*filter(None, call.query.get("status__in", "").split(",")), *filter(None, [call.query.get("status")])]
    if wanted:
        where += f" AND e.status IN ({', '.join('?' * len(wanted))})"
    rows = call.database.all(f"{WITH_NAMES} {where} ORDER BY e.created DESC, e.rowid DESC", [*values, *wanted])
    return reply(200, [_serialized(call, row) for row in rows])
