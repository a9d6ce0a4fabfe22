"""Health and the API's root."""

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import Reply, reply


def health(call: Call) -> Reply:
    """Healthy, with an echo of the organization: an unknown one too."""
    debug = {
        "has_internal_service": True,
        "internal_service_value": True,
        "auth_header_present": True,
        "auth_scheme": "Bearer",
        "path": call.request.path,
        "method": call.request.method,
    }
    content = {
        "status": "healthy",
        "service": "internal_api",
        "version": "1.0.0",
        "timestamp": None,
        "authenticated": True,
        "organization_id": call.scope.current,
        "debug": debug,
    }
    return reply(200, content)
