"""webhook/send: one notification straight onto the default queue."""

import re
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend import clubbing
from unstract_devstack.backend.handlers.validation import REQUIRED, FieldErrors
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import zulu_now
from unstract_devstack.backend.wire import reply

AUTHORIZATIONS = ("BEARER", "API_KEY", "CUSTOM_HEADER", "NONE")
URL = re.compile(
    r"^https?://(?:localhost|(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]+\]|(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+)(?::\d{1,5})?(?:[/?#]\S*)?$",
    re.IGNORECASE,
)


def send(call: Call) -> Response:
    """202 with the task's id. A host of a single label is no URL to the platform."""
    fields = FieldErrors(call.json())
    body = fields.body
    for name in ("url", "payload"):
        if name not in body:
            fields.add(name, REQUIRED)
    if "url" in body and not URL.match(str(body["url"])):
        fields.add("url", "Enter a valid URL.")
    kind = fields.choice("authorization_type", AUTHORIZATIONS, required=False) or "NONE"
    key, header = fields.text("authorization_key"), fields.text("authorization_header")
    timeout = fields.number("timeout", low=1, high=300)
    retries = fields.number("max_retries", low=0, high=10)
    delay = fields.number("retry_delay", low=1)
    fields.raise_any()
    target: dict[str, Any] = {"authorization_type": kind, "authorization_key": key, "authorization_header": header}
    args = [body["url"], body["payload"], clubbing.headers_of(target), int(timeout or 30)]
    kwargs = {"max_retries": int(retries if retries is not None else 3), "retry_delay": int(delay or 60)}
    task_id = call.services.producer.webhook(args, kwargs, None)
    with call.database.write():
        call.effect("webhooks.send", url=body["url"], task_id=task_id)
    content = {"task_id": task_id, "notification_id": body.get("notification_id"), "url": body["url"]}
    return reply(202, {**content, "status": "queued", "queued_at": zulu_now()})
