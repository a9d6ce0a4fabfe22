"""configuration, platform-settings, health, usage, and tools: what is asked besides the work itself."""

import json
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import refuse, reply, valid_uuid

NOTHING: dict[str, Any] = {
    "embedding_tokens": None,
    "prompt_tokens": None,
    "completion_tokens": None,
    "total_tokens": None,
    "cost_in_dollars": None,
}
USAGE_NEEDS = ("adapter_instance_id", "model_name", "usage_type")
USAGE_COUNTS = ("embedding_tokens", "prompt_tokens", "completion_tokens")
DEFAULTS = {"MAX_PARALLEL_FILE_BATCHES": 1, "NOTIFICATION_CLUB_INTERVAL": 300}


def configuration(call: Call) -> Response:
    """A value of the organization named in the query; the header does not count."""
    key, organization_id = call.parameter("config_key"), call.query.get("organization_id")
    if not organization_id:
        raise refuse(400, success=False, error="organization_id parameter is required", config_key=key)
    if key not in DEFAULTS:
        problem = f"Unknown configuration key: {key}"
        raise refuse(400, success=False, error=problem, config_key=key, organization_id=organization_id)
    organization = call.services.organizations.resolve(organization_id)
    if organization is None:
        raise refuse(404, success=False, error=f"Organization {organization_id} not found", config_key=key)
    row = call.database.one(
        "SELECT value FROM configurations WHERE organization_pk = ? AND key = ?", (organization.pk, key)
    )
    value = json.loads(row["value"]) if row else DEFAULTS[key]
    data = {"config_key": key, "value": value, "organization_id": organization_id}
    return reply(200, {"success": True, "data": {**data, "has_organization_override": row is not None}})


def platform_key(call: Call) -> Response:
    """The organization's key; one without a key fails."""
    organization = call.scope.demanded()
    if organization.platform_key is None:
        raise LookupError("the organization has no platform key")
    content = {"platform_key": organization.platform_key, "key_name": "default"}
    return reply(200, {**content, "organization_id": organization.identifier})


def health(call: Call) -> Response:
    """Healthy, with an echo of the organization: an unknown one too."""
    debug = {
        "has_internal_service": True, "internal_service_value": True, "auth_header_present": True,
        "auth_scheme": "Bearer", "path": call.path, "method": call.method,
    }  # fmt: skip
    content = {
        "status": "healthy", "service": "internal_api", "version": "1.0.0", "timestamp": None, "authenticated": True,
        "organization_id": call.scope.current, "debug": debug,
    }  # fmt: skip
    return reply(200, content)


def tokens(call: Call) -> Response:
    """Sums, all null where there is nothing to see."""
    value = call.parameter("file_execution_id")
    try:
        file_id = valid_uuid(value)
    except ValueError:
        raise refuse(500, success=False, error="Internal server error", file_execution_id=value) from None
    row = call.database.one(
        "SELECT COUNT(*) AS found, SUM(embedding_tokens) AS embedding, SUM(prompt_tokens) AS prompt,"
        " SUM(completion_tokens) AS completion, SUM(cost) AS cost FROM usage"
        " WHERE file_execution_id = ? AND organization_pk = ?",
        (file_id, call.scope.managed()),
    )
    sums = dict(NOTHING)
    if row is not None and row["found"]:
        sums = {
            "embedding_tokens": row["embedding"],
            "prompt_tokens": row["prompt"],
            "completion_tokens": row["completion"],
            "total_tokens": row["embedding"] + row["prompt"] + row["completion"],
            "cost_in_dollars": row["cost"],
        }
    data = {"file_execution_id": value, "usage": {"file_execution_id": value, **sums}}
    return reply(200, {"success": True, "data": data})


def pages(call: Call) -> Response:
    """The pages processed, null where there is nothing to see, also for what is no UUID."""
    value = call.parameter("file_execution_id")
    row = call.database.one(
        "SELECT SUM(pages) AS pages FROM usage WHERE file_execution_id = ? AND organization_pk = ?",
        (value.lower(), call.scope.managed()),
    )
    count = row["pages"] if row else None
    return reply(200, {"success": True, "data": {"file_execution_id": value, "total_pages_processed": count}})


def validate_tools(call: Call) -> Response:
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


def count_usage(call: Call) -> Response:
    """Rows of an executor: counted for the file that they name as their run. `pages` is the stand-in's own."""
    body, organization = call.fields(), call.scope.managed()
    records = body.get("records")
    if records is None:
        return _invalid(("required", "This field is required.", "records"))
    missing = [(at, name) for at, record in enumerate(records) for name in USAGE_NEEDS if name not in record]
    if missing:
        return _invalid(*(("required", "This field is required.", f"records.{at}.{name}") for at, name in missing))
    if records and call.scope.current is None:
        return _invalid(("invalid", "Organization context missing. Worker must send X-Organization-ID.", None))
    with call.database.write():
        for record in records:
            counts = {name: record.get(name, 0) for name in USAGE_COUNTS}
            file, pages = str(record["run_id"]), record.get("pages")
            call.database.insert("usage", organization_pk=organization, file_execution_id=file, pages=pages, **counts)
    return reply(201 if records else 200, {"created": len(records)})


def _invalid(*problems: tuple[str, str, str | None]) -> Response:
    errors = [{"code": code, "detail": detail, "attr": attribute} for code, detail, attribute in problems]
    return reply(400, {"type": "validation_error", "errors": errors})


def tool(call: Call) -> Response:
    """What runs a tool. One that was never exported gets data that is made up, as in the real view."""
    tool_id = call.parameter("tool_id")
    row = call.database.one("SELECT metadata FROM tool_instances WHERE tool_id = ?", (tool_id,))
    settings = json.loads(row["metadata"]) if row else {}
    known, image = "prompt_registry_id" in settings, settings.get("image_name")
    name = tool_id if known else f"Missing Tool ({tool_id[:8]}...)"
    described = "" if known else "Tool not found in registry or Prompt Studio"
    version = "latest" if known else "unknown"
    properties = {
        "displayName": name, "functionName": tool_id, "description": described, "toolVersion": version,
    }  # fmt: skip
    shown = {
        "tool_id": tool_id, "properties": properties, "image_name": image or "unstract/tool-structure",
        "image_tag": "0.0.101", "name": name, "description": described, "version": version,
    }  # fmt: skip
    return reply(200, {"tool": shown if known else {**shown, "note": "Fallback data for missing tool"}})
