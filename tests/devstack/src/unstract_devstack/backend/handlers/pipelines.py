"""pipeline and api-deployments: what the callers show, and the status of the last run."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Row, pick
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, zulu
from unstract_devstack.backend.wire import refuse, reply, valid_uuid


def managed(call: Call, table: str, found_id: str) -> Row | None:
    """A row of pipelines or api_deployments that the request's organization manages."""
    return call.database.one(
        f"SELECT * FROM {table} WHERE id = ? AND organization_pk = ?", (found_id, call.scope.managed())
    )


def get(call: Call) -> Response:
    """A pipeline or an API deployment."""
    found_id = valid_uuid(call.parameter())
    deployment = managed(call, "api_deployments", found_id)
    if deployment is not None:
        name = deployment["api_name"]
        names = {"is_api": True, "resolved_pipeline_type": "API", "resolved_pipeline_name": name, "pipeline_name": name}
        return reply(200, {"status": "success", "pipeline": {**_deployment(call, deployment), **names}})
    row = managed(call, "pipelines", found_id)
    if row is None:
        raise refuse(404, status="error", message="Pipeline not found")
    return reply(200, {"status": "success", "pipeline": _pipeline(row)})


def _shared(row: Row) -> dict[str, Any]:
    owner = {"organization": row["organization_pk"], "workflow": row["workflow_id"], "created_by": 1}
    return {**pick(row, "id created_at modified_at"), **owner, "modified_by": None, "shared_to_org": False}


def _pipeline(row: Row) -> dict[str, Any]:
    nothing = dict.fromkeys(("app_id", "cron_string", "app_icon", "app_url", "access_control_bundle_id"))
    kinds = {"resolved_pipeline_type": row["type"], "pipeline_type": row["type"]}
    names = {"resolved_pipeline_name": row["name"], "pipeline_name": row["name"]}
    last = pick(row, "last_run_time last_run_status")
    flags = {"is_api": False, "active": bool(row["active"]), "scheduled": False, "run_count": 0}
    return {**_shared(row), **nothing, **kinds, **names, **last, **flags}


def _deployment(call: Call, row: Row) -> dict[str, Any]:
    organization = call.services.organizations.by_pk(row["organization_pk"])
    path = f"deployment/api/{organization.identifier if organization else ''}/{row['api_name']}/"
    names = {**pick(row, "display_name api_name"), "description": "", "api_endpoint": path}
    return {**_shared(row), **names, "is_active": bool(row["is_active"])}


def update(call: Call) -> Response:
    """Write the status of the last run: any text. An API deployment is answered and left as it is."""
    body = call.fields()
    found_id = _valid_uuid_or_failure(call.parameter())
    status, is_end = body.get("status"), bool(body.get("is_end", False))
    if not status:
        raise refuse(400, status="error", message="Status is required")
    row, head = managed(call, "pipelines", found_id), {"status": "success", "pipeline_id": found_id}
    if row is None:
        if managed(call, "api_deployments", found_id) is None:
            raise refuse(404, status="error", message="Pipeline or API deployment not found")
        return reply(200, {**head, "new_status": status, "message": "API deployment status updated successfully"})
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
    tail = {"new_status": status, "is_end": is_end, "message": "Pipeline status updated successfully"}
    return reply(200, {**head, **tail})


def _valid_uuid_or_failure(value: str) -> str:
    """The id. Raises Refused with 500, as the update of a pipeline does."""
    try:
        return valid_uuid(value)
    except ValueError as problem:
        raise refuse(500, status="error", message=f"Failed to update pipeline: {problem}") from None


def api_deployment(call: Call) -> Response:
    """An API deployment's own fields, under the key "pipeline"."""
    row = managed(call, "api_deployments", call.parameter("api_id"))
    if row is None:
        raise refuse(404, error=f"APIDeployment with ID {call.parameter('api_id')} not found")
    return reply(200, {"status": "success", "pipeline": {**_deployment(call, row), "shared_groups": []}})
