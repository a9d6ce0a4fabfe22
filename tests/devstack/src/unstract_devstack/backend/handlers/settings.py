"""configuration, platform-settings, health and usage: what is asked besides the work itself."""

from typing import Any

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import BROKEN, PAGE, operation, refuse, valid_uuid

V1 = "/internal/v1"
TOKENS = ("embedding_tokens", "prompt_tokens", "completion_tokens")
USAGE_NEEDS = ("adapter_instance_id", "model_name", "usage_type")
DEFAULTS = {"MAX_PARALLEL_FILE_BATCHES": 1, "NOTIFICATION_CLUB_INTERVAL": 300}


@operation("GET", f"{V1}/configuration/{{config_key}}/")
def configuration(call: Call) -> Any:
    """A value of the organization named in the query; the header does not count."""
    key, organization_id = call.parameter("config_key"), call.query.get("organization_id")
    if not organization_id:
        raise refuse(400, success=False, error="organization_id parameter is required", config_key=key)
    if key not in DEFAULTS:
        problem = f"Unknown configuration key: {key}"
        raise refuse(400, success=False, error=problem, config_key=key, organization_id=organization_id)
    organization = call.services.resolved(organization_id)
    if organization is None:
        raise refuse(404, success=False, error=f"Organization {organization_id} not found", config_key=key)
    row = call.database.get("configurations", organization_pk=organization["pk"], key=key)
    data = {"config_key": key, "value": row["value"] if row else DEFAULTS[key], "organization_id": organization_id}
    return {"success": True, "data": {**data, "has_organization_override": row is not None}}


@operation("GET", f"{V1}/platform-settings/platform-key/", BROKEN)
def platform_key(call: Call) -> Any:
    """The organization's key; one without a key fails."""
    organization = call.demanded()
    key = organization["platform_key"]
    if key is None:
        raise LookupError("the organization has no platform key")
    return {"platform_key": key, "key_name": "default", "organization_id": organization["organization_id"]}


@operation("GET", f"{V1}/health/", PAGE, plain=True)
def health(call: Call) -> Any:
    """Healthy, with an echo of the organization: an unknown one too."""
    debug = {
        "has_internal_service": True, "internal_service_value": True, "auth_header_present": True,
        "auth_scheme": "Bearer", "path": call.path, "method": call.request.method,
    }  # fmt: skip
    return {
        "status": "healthy", "service": "internal_api", "version": "1.0.0", "timestamp": None, "authenticated": True,
        "organization_id": call.current, "debug": debug,
    }  # fmt: skip


@operation("GET", f"{V1}/usage/aggregated-token-count/{{file_execution_id}}/")
def tokens(call: Call) -> Any:
    """Sums, all null where there is nothing to see."""
    value = call.parameter("file_execution_id")
    try:
        file_id = valid_uuid(value)
    except ValueError:
        raise refuse(500, success=False, error="Internal server error", file_execution_id=value) from None
    (sums,) = call.database.all(
        "SELECT SUM(embedding_tokens) AS embedding_tokens, SUM(prompt_tokens) AS prompt_tokens,"
        " SUM(completion_tokens) AS completion_tokens, SUM(embedding_tokens + prompt_tokens + completion_tokens)"
        " AS total_tokens, SUM(cost) AS cost_in_dollars FROM usage WHERE file_execution_id = ? AND organization_pk = ?",
        file_id,
        call.managed(),
    )
    usage = {"file_execution_id": value, **dict(sums)}
    return {"success": True, "data": {"file_execution_id": value, "usage": usage}}


@operation("GET", f"{V1}/usage/aggregated-pages-processed/{{file_execution_id}}/")
def pages(call: Call) -> Any:
    """The pages processed, null where there is nothing to see, also for what is no UUID."""
    value = call.parameter("file_execution_id")
    query = "SELECT SUM(pages) FROM usage WHERE file_execution_id = ? AND organization_pk = ?"
    ((count,),) = call.database.all(query, value.lower(), call.managed())
    return {"success": True, "data": {"file_execution_id": value, "total_pages_processed": count}}


@operation("POST", f"{V1}/usage/batch/")
def count_usage(call: Call) -> Any:
    """Rows of an executor: counted for the file that they name as their run. `pages` is the stand-in's own."""
    records, required = call.fields().get("records"), "This field is required."
    if records is None:
        raise _invalid(("required", required, "records"))
    places = [f"records.{at}.{name}" for at, each in enumerate(records) for name in USAGE_NEEDS if name not in each]
    if places:
        raise _invalid(*(("required", required, place) for place in places))
    if records and call.current is None:
        raise _invalid(("invalid", "Organization context missing. Worker must send X-Organization-ID.", None))
    with call.database.write():
        for record in records:
            counts = {name: record.get(name, 0) for name in TOKENS}
            owner = {"organization_pk": call.managed(), "file_execution_id": str(record["run_id"])}
            call.database.insert("usage", **owner, **counts, pages=record.get("pages"))
    return 201 if records else 200, {"created": len(records)}


def _invalid(*problems: tuple[str, str, str | None]) -> Exception:
    errors = [{"code": code, "detail": detail, "attr": attribute} for code, detail, attribute in problems]
    return refuse(400, type="validation_error", errors=errors)
