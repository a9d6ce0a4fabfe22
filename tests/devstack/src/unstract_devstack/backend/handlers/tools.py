"""tool-execution: what runs a tool, and whether instances are valid."""

from typing import Any

from unstract_devstack.backend.database import pick
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import operation, refuse, valid_uuid

TOOLS = "/internal/v1/tool-execution"


@operation("POST", f"{TOOLS}/validate/", parses=True)
def validate_tools(call: Call) -> Any:
    """Check instances. Unknown ones and another organization's are passed over, and that is a success."""
    body = call.fields("workflow_id", error="workflow_id is required")
    try:
        ids = [valid_uuid(value) for value in body.get("tool_instances") or []]
    except ValueError as problem:
        raise refuse(500, error=f"Tool validation failed: {problem}") from None
    rows = [row for instance_id in ids if (row := call.scoped("shown_tools", instance_id)) is not None]
    errors = [
        {"tool_id": row["tool_id"], "tool_instance_id": row["id"], "error": row["fault"]}
        for row in rows
        if row["fault"]
    ]
    valid = [{**pick(row, "id tool_id metadata step"), "status": "valid"} for row in rows]
    content = {"success": not errors, "validated_instances": [] if errors else valid, "errors": errors}
    return 422 if errors else 200, {**content, "workflow_id": body["workflow_id"]}


@operation("GET", f"{TOOLS}/tool/{{tool_id}}/")
def tool(call: Call) -> Any:
    """What runs a tool. One that was never exported gets data that is made up, as in the real view."""
    tool_id = call.parameter("tool_id")
    row = call.database.get("tool_instances", tool_id=tool_id)
    settings = row["metadata"] if row else {}
    known = "prompt_registry_id" in settings
    name = tool_id if known else f"Missing Tool ({tool_id[:8]}...)"
    described = "" if known else "Tool not found in registry or Prompt Studio"
    version = "latest" if known else "unknown"
    properties = {"displayName": name, "functionName": tool_id, "description": described, "toolVersion": version}
    shown = {
        "tool_id": tool_id, "properties": properties, "image_tag": "0.0.101", "name": name, "description": described,
        "image_name": settings.get("image_name") or "unstract/tool-structure", "version": version,
    }  # fmt: skip
    return {"tool": shown if known else {**shown, "note": "Fallback data for missing tool"}}
