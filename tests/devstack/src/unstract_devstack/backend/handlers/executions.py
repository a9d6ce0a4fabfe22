"""workflow-execution: retrieve and list."""

from typing import Any

from unstract_devstack.backend.database import Row, given, pick
from unstract_devstack.backend.handlers import workflows
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import NoMatch, operation, refuse, valid_uuid

EXECUTION = "/internal/v1/workflow-execution"
TERMINAL = frozenset({"COMPLETED", "STOPPED", "ERROR"})
STATUSES = ("PENDING", "EXECUTING", "COMPLETED", "STOPPED", "ERROR")
SHOWN = (
    "id workflow_id workflow_name task_id execution_mode execution_method execution_log_id status total_files"
    " error_message attempts execution_time execution_type result_acknowledged created_at modified_at tags"
)
FILE_SHOWN = (
    "id file_name file_path file_size file_hash provider_file_uuid mime_type status execution_time execution_error"
    " created_at modified_at workflow_execution_id fs_metadata"
)


def _visible_pipeline(call: Call, pipeline_id: str | None) -> str | None:
    """The id if it is of a pipeline or API deployment that the request's organization manages, else None."""
    found = pipeline_id and (call.row("pipelines", pipeline_id) or call.row("api_deployments", pipeline_id))
    return pipeline_id if found else None


def _serialized(call: Call, row: Row) -> dict[str, Any]:
    """The row as lists and the retrieve answer show it: without counts of good and bad files."""
    return {**pick(row, SHOWN), "pipeline_id": _visible_pipeline(call, row["pipeline_id"])}


@operation("GET", f"{EXECUTION}/{{id}}/", {"error": "Failed to retrieve workflow execution"})
def retrieve(call: Call) -> Any:
    """An execution with its whole context. Absent is 404, another organization's is 500."""
    execution_id, database = valid_uuid(call.parameter()), call.database
    row = call.scoped("shown_executions", execution_id)
    if row is None:
        if database.get("executions", id=execution_id) is None:
            raise refuse(404, error="WorkflowExecution not found")
        raise NoMatch("No WorkflowExecution matches the given query.")
    (workflow,) = database.find("workflows", id=row["workflow_id"])
    (organization,) = database.find("organizations", pk=row["organization_pk"])
    endpoints = workflows.endpoints(database, row["workflow_id"]) if call.managed() >= 0 else {}
    with_files = call.query.get("file_execution", "true").lower() != "false"
    files = database.find("shown_files", "number", execution_id=execution_id) if with_files else []
    cost = None
    if call.query.get("include_cost", "false").lower() == "true":
        query = "SELECT SUM(u.cost) FROM usage u JOIN file_executions f ON f.id = u.file_execution_id"
        ((cost,),) = database.all(f"{query} WHERE f.execution_id = ?", execution_id)
    return {
        "execution": _serialized(call, row),
        "workflow_definition": {
            "workflow_id": workflow["id"],
            "workflow_name": workflow["name"],
            "workflow_type": workflow["type"],
            "description": workflow["description"],
            "source_settings": {},
            "destination_settings": {},
            "is_active": True,
            "status": "ready",
        },
        "source_config": _source(call, row, endpoints.get("SOURCE")),
        "destination_config": _destination(workflow, endpoints),
        "organization_context": {
            "organization_id": organization["organization_id"],
            "organization_name": organization["name"],
            "settings": {},
        },
        "file_executions": [pick(file, FILE_SHOWN) for file in files],
        "aggregated_usage_cost": cost,
    }


def _connector(endpoint: Row | None) -> dict[str, Any]:
    """The connector of an endpoint as an execution's context shows it: credentials and all."""
    if endpoint is None or not endpoint["connector_id"]:
        return {}
    return {**pick(endpoint, "connector_id connector_name"), "connector_settings": endpoint["connector_metadata"]}


def _source(call: Call, row: Row, source: Row | None) -> dict[str, Any]:
    """Where files come from; is_api is true only for a run of an API deployment."""
    kind, visible = "general_workflow", _visible_pipeline(call, row["pipeline_id"])
    if row["pipeline_id"] is not None:
        is_api = visible and call.database.get("api_deployments", id=visible)
        kind = "api_deployment" if is_api else "pipeline" if visible else "pipeline_not_found"
    settings = source["configuration"] if source else {}
    content = {"type": kind, "source_settings": settings, "is_api": kind == "api_deployment"}
    return content | ({"pipeline_id": visible} if visible else {}) | _connector(source)


def _destination(workflow: Row, endpoints: dict[str, Row]) -> dict[str, Any]:
    destination, source = endpoints.get("DESTINATION"), _connector(endpoints.get("SOURCE"))
    connection = destination["connection_type"] if destination else "FILESYSTEM"
    content = {
        "connection_type": connection,
        "settings": destination["configuration"] if destination else {},
        "is_api": connection == "API",
        "use_file_history": workflow["use_file_history"],
    }
    own = {f"source_{name}": value for name, value in source.items() if name != "connector_name"}
    return content | _connector(destination) | own


@operation("GET", f"{EXECUTION}/")
def listed(call: Call) -> Any:
    """All executions that match, newest first; no pages."""
    query = call.query
    workflow_id = query.get("workflow_id")
    where = given(organization_pk=call.filtered(), workflow_id=workflow_id and valid_uuid(workflow_id))
    wanted = [*filter(None, query.get("status__in", "").split(",")), *filter(None, [query.get("status")])]
    rows = call.database.find("shown_executions", "created DESC, number DESC", wanted, **where)
    return [_serialized(call, row) for row in rows]
