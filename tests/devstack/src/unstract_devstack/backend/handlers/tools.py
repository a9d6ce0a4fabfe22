"""tool-execution: validation of tool instances."""

import json
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import refuse, reply, valid_uuid


def validate(call: Call) -> Response:
    """Check instances. Unknown ones and another organization's are passed over, and that is a success."""
    body = call.fields()
    workflow_id = body.get("workflow_id")
    if not workflow_id:
        raise refuse(400, error="workflow_id is required")
    wanted = body.get("tool_instances") or []
    try:
        ids = [valid_uuid(value) for value in wanted]
    except ValueError as problem:
        raise refuse(500, error=f"Tool validation failed: {problem}") from None
    organization = call.scope.filtered()
    valid: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for instance_id in ids:
        row = call.database.one(
            "SELECT t.*, w.organization_pk FROM tool_instances t JOIN workflows w ON w.id = t.workflow_id"
            " WHERE t.id = ?",
            (instance_id,),
        )
        if row is None or organization not in (None, row["organization_pk"]):
            continue
        if row["fault"]:
            errors.append({"tool_id": row["tool_id"], "tool_instance_id": row["id"], "error": row["fault"]})
            continue
        shown = {"id": row["id"], "tool_id": row["tool_id"], "metadata": json.loads(row["metadata"])}
        valid.append({**shown, "step": row["step"], "status": "valid"})
    content = {"success": not errors, "validated_instances": [] if errors else valid, "errors": errors}
    return reply(422 if errors else 200, {**content, "workflow_id": workflow_id})
