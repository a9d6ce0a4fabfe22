"""pipeline and api-deployments: what the callers show, and the status of the last run."""

from typing import Any

from unstract_devstack.backend.database import Row, pick, zulu_now
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import STATUS_MESSAGE, operation, refuse, valid_uuid

PIPELINE = "/internal/v1/pipeline/{id}/"


def _shared(row: Row) -> dict[str, Any]:
    owner = {"organization": row["organization_pk"], "workflow": row["workflow_id"], "created_by": 1}
    return {**pick(row, "id created_at modified_at"), **owner, "modified_by": None, "shared_to_org": False}


def _deployment(row: Row) -> dict[str, Any]:
    path = f"deployment/api/{row['organization_id']}/{row['api_name']}/"
    names = pick(row, "display_name api_name is_active")
    return {**_shared(row), **names, "description": "", "api_endpoint": path}


@operation("GET", PIPELINE, STATUS_MESSAGE)
def get(call: Call) -> Any:
    """A pipeline or an API deployment."""
    found_id = valid_uuid(call.parameter())
    row = call.row("shown_api_deployments", found_id)
    if row is not None:
        kind, name, shown = "API", row["api_name"], {**_deployment(row), "is_api": True}
    else:
        row = call.row("pipelines", found_id)
        if row is None:
            raise refuse(404, status="error", message="Pipeline not found")
        kind, name = row["type"], row["name"]
        nothing = dict.fromkeys(("app_id", "cron_string", "app_icon", "app_url", "access_control_bundle_id"))
        last = {**pick(row, "active last_run_time last_run_status"), "scheduled": False, "run_count": 0}
        shown = {**_shared(row), **nothing, **last, "pipeline_type": kind, "is_api": False}
    names = {"resolved_pipeline_type": kind, "resolved_pipeline_name": name, "pipeline_name": name}
    return {"status": "success", "pipeline": {**shown, **names}}


@operation("PUT", PIPELINE, STATUS_MESSAGE)
def update(call: Call) -> Any:
    """Write the status of the last run: any text. An API deployment is answered and left as it is."""
    body, not_done = call.fields(), "Failed to update pipeline: {}"
    try:
        found_id = valid_uuid(call.parameter())
    except ValueError as problem:
        raise refuse(500, status="error", message=not_done.format(problem)) from None
    status, is_end = body.get("status"), bool(body.get("is_end", False))
    if not status:
        raise refuse(400, status="error", message="Status is required")
    row, head = call.row("pipelines", found_id), {"status": "success", "pipeline_id": found_id, "new_status": status}
    if row is None:
        if call.row("api_deployments", found_id) is None:
            raise refuse(404, status="error", message="Pipeline or API deployment not found")
        return {**head, "message": "API deployment status updated successfully"}
    if not row["active"]:
        reason = f"Pipeline '{row['name']}' is inactive, please activate the pipeline"
        raise refuse(500, status="error", message=not_done.format(reason))
    at = zulu_now()
    values = {"last_run_status": str(status), "modified_at": at, **({"last_run_time": at} if is_end else {})}
    with call.database.write():
        call.database.update("pipelines", found_id, **values)
        call.effect("pipelines.update", pipeline_id=found_id, status=status, is_end=is_end)
    return {**head, "is_end": is_end, "message": "Pipeline status updated successfully"}


@operation("GET", "/internal/v1/api-deployments/{api_id:uuid}/")
def api_deployment(call: Call) -> Any:
    """An API deployment's own fields, under the key "pipeline"."""
    row = call.row("shown_api_deployments", call.parameter("api_id"))
    if row is None:
        raise refuse(404, error=f"APIDeployment with ID {call.parameter('api_id')} not found")
    return {"status": "success", "pipeline": {**_deployment(row), "shared_groups": []}}
