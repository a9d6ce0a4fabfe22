"""pipeline and api-deployments: what the callers show, and the status of the last run."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, zulu
from unstract_devstack.backend.wire import Reply, refuse, reply, valid_uuid


def managed(call: Call, table: str, found_id: str) -> Row | None:
    """A row of pipelines or api_deployments that the request's organization manages."""
    return call.database.one(
        f"SELECT * FROM {table} WHERE id = ? AND organization_pk = ?", (found_id, call.scope.managed())
    )


def get(call: Call) -> Reply:
    """A pipeline or an API deployment."""
    found_id = valid_uuid(call.parameters["id"])
    deployment = managed(call, "api_deployments", found_id)
    if deployment is not None:
        resolved = {"is_api": True, "resolved_pipeline_type": "API"}
        names = {"resolved_pipeline_name": deployment["api_name"], "pipeline_name": deployment["api_name"]}
        return reply(200, {"status": "success", "pipeline": {**_deployment(call, deployment), **resolved, **names}})
    row = managed(call, "pipelines", found_id)
    if row is None:
        raise refuse(404, status="error", message="Pipeline not found")
    return reply(200, {"status": "success", "pipeline": _pipeline(row)})


def _pipeline(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "is_api": False,
        "resolved_pipeline_type": row["type"],
        "resolved_pipeline_name": row["name"],
        "pipeline_name": row["name"],
        "created_at": row["created_at"],
        "modified_at": row["modified_at"],
        "app_id": None,
        "active": bool(row["active"]),
        "scheduled": False,
        "cron_string": None,
        "pipeline_type": row["type"],
        "run_count": 0,
        "last_run_time": row["last_run_time"],
        "last_run_status": row["last_run_status"],
        "app_icon": None,
        "app_url": None,
        "access_control_bundle_id": None,
        "shared_to_org": False,
        "organization": row["organization_pk"],
        "workflow": row["workflow_id"],
        "created_by": 1,
        "modified_by": None,
    }


def _deployment(call: Call, row: Row) -> dict[str, Any]:
    organization = call.services.organizations.by_pk(row["organization_pk"])
    identifier = organization.identifier if organization else ""
    return {
        "id": row["id"],
        "created_at": row["created_at"],
        "modified_at": row["modified_at"],
        "display_name": row["display_name"],
        "description": "",
        "is_active": bool(row["is_active"]),
        "api_endpoint": f"deployment/api/{identifier}/{row['api_name']}/",
        "api_name": row["api_name"],
        "shared_to_org": False,
        "organization": row["organization_pk"],
        "workflow": row["workflow_id"],
        "created_by": 1,
        "modified_by": None,
    }


def update(call: Call) -> Reply:
    """Write the status of the last run: any text. An API deployment is answered and left as it is."""
    body = call.fields()
    found_id = valid_uuid_or_failure(call.parameters["id"])
    status, is_end = body.get("status"), bool(body.get("is_end", False))
    if not status:
        raise refuse(400, status="error", message="Status is required")
    row = managed(call, "pipelines", found_id)
    if row is None:
        if managed(call, "api_deployments", found_id) is None:
            raise refuse(404, status="error", message="Pipeline or API deployment not found")
        message = "API deployment status updated successfully"
        return reply(200, {"status": "success", "pipeline_id": found_id, "new_status": status, "message": message})
    if not row["active"]:
        problem = f"Pipeline '{row['name']}' is inactive, please activate the pipeline"
        raise refuse(500, status="error", message=f"Failed to update pipeline: {problem}")
    at = zulu(now())
    with call.database.write() as connection:
        connection.execute(
            "UPDATE pipelines SET last_run_status = ?, last_run_time = CASE WHEN ? THEN ? ELSE last_run_time END,"
            " modified_at = ? WHERE id = ?",
            (str(status), is_end, at, at, found_id),
        )
        call.effect("pipelines.update", pipeline_id=found_id, status=status, is_end=is_end)
    content = {"status": "success", "pipeline_id": found_id, "new_status": status, "is_end": is_end}
    return reply(200, {**content, "message": "Pipeline status updated successfully"})


def valid_uuid_or_failure(value: str) -> str:
    """The id. Raises Refused with 500, as the update of a pipeline does."""
    try:
        return valid_uuid(value)
    except ValueError as problem:
        raise refuse(500, status="error", message=f"Failed to update pipeline: {problem}") from None


def api_deployment(call: Call) -> Reply:
    """An API deployment's own fields, under the key "pipeline"."""
    row = managed(call, "api_deployments", call.parameters["api_id"])
    if row is None:
        raise refuse(404, error=f"APIDeployment with ID {call.parameters['api_id']} not found")
    return reply(200, {"status": "success", "pipeline": {**_deployment(call, row), "shared_groups": []}})
