"""One POST of a webhook: bounded in time and in what is read, no redirects, no proxies, and reasons without secrets."""

import json

from unstract_worker_core.client import Interrupted, NotSent, post_once
from unstract_worker_core.config import WebhookSettings
from unstract_worker_core.messages import WebhookMessage
from unstract_worker_general.webhook_body import render

__all__ = ["headers_of", "post", "seconds_for"]

# What belongs to the connection is ours to say.
_OURS = ("connection", "content-length", "host", "transfer-encoding", "webhook-id")


def post(message: WebhookMessage, delivery_id: str, settings: WebhookSettings) -> str | None:
    """Send it once; None when it was taken (2xx), else why not, in words that are safe to show."""
    content = json.dumps(render(message.payload, message.platform), allow_nan=False).encode()
    try:
        answer = post_once(
            message.url,
            content,
            headers_of(message.headers, delivery_id),
            timeout_seconds=seconds_for(message.timeout, settings),
            body_limit=settings.body_limit,
        )
    except NotSent as error:
        return f"no connection ({_kind(error)})"
    except Interrupted as error:
        return f"no answer ({_kind(error)})"
    return None if 200 <= answer.status < 300 else f"HTTP {answer.status}"


def headers_of(given: dict[str, str], delivery_id: str) -> dict[str, str]:
    """The producer's headers, JSON as their content type unless it says otherwise, and the delivery's id."""
    headers = {name: value for name, value in given.items() if name.lower() not in _OURS}
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return headers | {"webhook-id": delivery_id}


def seconds_for(wanted: float, settings: WebhookSettings) -> float:
    """The time that a delivery may take: what the message asks for, within the worker's limits."""
    return min(wanted or settings.deadline_seconds, settings.timeout_cap, settings.deadline_seconds)


def _kind(error: Exception) -> str:
    return str(error).partition(":")[0]  # what follows may quote a header or an address
