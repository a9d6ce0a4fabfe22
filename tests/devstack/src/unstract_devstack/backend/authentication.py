"""The internal API's authentication: one bearer key, and the shapes of its refusals."""

import hmac
from typing import Any

from unstract_devstack.backend.wire import Reply, Request, reply


def refusal(request: Request, key: str) -> Reply | None:
    """401 in the recorded shapes, or None for a caller with the key."""
    header = request.headers.get("authorization")
    if header is None:
        return _refused("Authorization header required for internal APIs", "Missing Authorization header")
    if not header.startswith("Bearer "):
        return _refused("Bearer token required for internal APIs", f"Invalid authorization format: {header[:20]}...")
    if not hmac.compare_digest(header.removeprefix("Bearer ").encode(), key.encode()):
        return _refused("Invalid internal service API key", "API key does not match configured value")
    return None


def _refused(error: str, detail: str) -> Reply:
    body: dict[str, Any] = {"error": error, "detail": detail, "debug_info": {}}
    return reply(401, body)
