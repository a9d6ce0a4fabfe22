"""configuration, platform-settings, and health."""

import json

from starlette.responses import Response

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import refuse, reply

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
