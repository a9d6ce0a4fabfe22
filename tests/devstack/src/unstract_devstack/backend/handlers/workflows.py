"""workflow-manager: workflow, endpoints, tool instances, and the creation of executions."""

from typing import Any

from unstract_devstack.backend.database import Database, Row, pick, with_offset
from unstract_devstack.backend.services import NOWHERE, Call
from unstract_devstack.backend.wire import BROKEN, failed, operation, refuse, valid_uuid

MANAGER = "/internal/v1/workflow-manager"
GONE = "Workflow not found or access denied"
KINDS = ("SOURCE", "DESTINATION")


def endpoints(database: Database, workflow_id: str) -> dict[str, Row]:
    """The endpoints of a workflow by type: SOURCE, DESTINATION."""
    return {row["type"]: row for row in database.find("endpoints", workflow_id=workflow_id)}


def _serialized_endpoint(endpoint: Row, *, merged: bool) -> dict[str, Any]:
    """An endpoint; merged: its configuration holds the connector's credentials too."""
    content = {
        "endpoint_id": endpoint["id"],
        "endpoint_type": endpoint["type"],
        **pick(endpoint, "connection_type configuration"),
    }
    if endpoint["connector_id"]:
        content["connector_instance"] = pick(endpoint, "connector_id connector_name connector_metadata")
        if merged:
            content["configuration"] = {**endpoint["connector_metadata"], **endpoint["configuration"]}
    return content


def workflow_of(call: Call, value: object, organization_pk: int | None = None, *, gone: str = GONE) -> Row:
    """A workflow of the request's organization, or of this one. Raises Refused with 404."""
    pk = call.managed() if organization_pk is None else organization_pk
    row = call.database.get("shown_workflows", id=valid_uuid(value), organization_pk=pk)
    if row is None:
        raise refuse(404, error=gone)
    return row


@operation("GET", f"{MANAGER}/workflow/{{workflow_id}}/", failed("Failed to get workflow definition"))
def workflow(call: Call) -> Any:
    """A workflow with both endpoints, credentials merged in."""
    managed, filtered = call.managed(), call.filtered()
    row = workflow_of(call, call.parameter("workflow_id"), managed if filtered in (None, managed) else NOWHERE)
    found, shown = endpoints(call.database, row["id"]), {}
    for kind in KINDS:
        empty = {"endpoint_id": "", "endpoint_type": kind, "connection_type": "NONE", "configuration": {}}
        shown[kind] = _serialized_endpoint(found[kind], merged=True) if kind in found else empty
    return {
        "id": row["id"],
        "workflow_id": row["id"],
        "workflow_name": row["name"],
        "workflow_type": row["type"],
        "source_config": shown["SOURCE"],
        "destination_config": shown["DESTINATION"],
        "organization_id": row["organization_id"],
        "created_at": with_offset(row["created_at"]),
        "modified_at": with_offset(row["modified_at"]),
        "is_active": True,
    }


@operation("GET", f"{MANAGER}/{{workflow_id}}/endpoint/", failed("Failed to get workflow endpoints"))
def endpoint(call: Call) -> Any:
    """Both endpoints of a workflow."""
    workflow_id = workflow_of(call, call.parameter("workflow_id"))["id"]
    found = endpoints(call.database, workflow_id)
    source, destination = (_serialized_endpoint(found[k], merged=False) if k in found else None for k in KINDS)
    is_api = any(row["connection_type"] == "API" for row in found.values())
    both = {"source_endpoint": source, "destination_endpoint": destination}
    return {"workflow_id": workflow_id, **both, "has_api_endpoints": is_api}


@operation("GET", f"{MANAGER}/workflow/{{workflow_id}}/tool-instances/", failed("Database lookup error"))
def tool_instances(call: Call) -> Any:
    """The tools of a workflow, in their order."""
    organization, workflow_id = call.demanded(), valid_uuid(call.parameter("workflow_id"))
    gone = f"Workflow {workflow_id} not found for organization {organization['organization_id']}"
    workflow_of(call, workflow_id, organization["pk"], gone=gone)
    rows = call.database.find("tool_instances", "step, rowid", workflow_id=workflow_id)
    names = "id tool_id step status version metadata"
    return {"tool_instances": [{**pick(row, names), "input": None, "output": None} for row in rows]}


@operation("POST", f"{MANAGER}/execution/create/", BROKEN)
def create(call: Call) -> Any:
    """A new PENDING execution, each time. Without a pipeline and without a log id the row can not be stored."""
    organization, body = call.demanded(), call.fields()
    workflow_id = workflow_of(call, body["workflow_id"], organization["pk"], gone="Workflow not found")["id"]
    pipeline = body.get("pipeline_id")
    log_id = body.get("log_events_id") or pipeline
    if not log_id:
        raise ValueError("execution_log_id is null")
    with call.database.write():
        execution_id = call.database.add(
            "executions", organization_pk=organization["pk"], workflow_id=workflow_id,
            pipeline_id=str(pipeline) if pipeline else None, execution_log_id=str(log_id),
            execution_mode=str(body.get("mode") or "INSTANT"),
            execution_method="SCHEDULED" if body.get("scheduled") else "DIRECT",
            total_files=int(body.get("total_files") or 0),
        )  # fmt: skip
        call.effect("executions.create", execution_id=execution_id, workflow_id=workflow_id, pipeline_id=pipeline)
    call.mirror(execution_id)
    return {"execution_id": execution_id, "status": "PENDING", "execution_log_id": log_id, "transport": "celery"}


@operation("GET", f"{MANAGER}/execution/{{execution_id}}/", BROKEN)
def execution(call: Call) -> Any:
    """Broken in the platform: reads a field that rows do not have."""
    if call.header is None:
        call.demanded()
    execution_id = valid_uuid(call.parameter("execution_id"))
    if call.database.get("executions", id=execution_id) is None:
        raise refuse(404, error=f"Workflow execution {execution_id} not found")
    raise AttributeError("completed_files")


def _shadowed(call: Call) -> Any:
    """Paths that the broken view above hides: GET fails in it, other methods are not allowed."""
    call.demanded()
    raise AttributeError("the view of one execution answers here")


cleanup = operation("GET", f"{MANAGER}/execution/cleanup/", BROKEN)(_shadowed)
metrics = operation("GET", f"{MANAGER}/execution/metrics/", BROKEN)(_shadowed)
