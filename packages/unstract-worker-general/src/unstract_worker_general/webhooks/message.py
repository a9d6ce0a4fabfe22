"""A webhook to deliver: `send_webhook_notification` (contract: tasks 6.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, field, frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import opaque_id, uuids
from unstract_worker_core.messages.fields import one_line, optional_text, plain
from unstract_worker_core.observability.logs import get_logger

__all__ = ["WebhookMessage", "read_webhook"]

log = get_logger(__name__)

_ORDER = (
    "url", "payload", "headers", "timeout", "max_retries", "retry_delay", "platform", "raise_on_final_failure",
    "buffer_row_ids", "organization_id",
)  # fmt: skip


@frozen
class WebhookMessage:
    """One delivery. `headers` may carry credentials: they are never shown. `organization_id` is the primary key."""

    url: str = field(repr=False)
    payload: Any = field(repr=False)
    headers: dict[str, str] = field(factory=dict, repr=False)
    timeout: float = 10.0
    max_retries: int = 0
    retry_delay: float = 10.0
    platform: str | None = None
    buffer_row_ids: tuple[str, ...] = Factory(tuple)
    organization_id: str | None = None


def read_webhook(args: Sequence[object], kwargs: Mapping[str, object]) -> WebhookMessage:
    """Read the arguments of `send_webhook_notification`. Raises MessageError."""
    if len(args) > len(_ORDER):
        raise MessageError(f"expected at most {len(_ORDER)} arguments, got {len(args)}", field="args")
    given = dict(zip(_ORDER, args, strict=False)) | dict(kwargs)
    url, payload = given.get("url"), given.get("payload")
    if not isinstance(url, str) or not url or len(url) > 2048 or not one_line(url):
        raise MessageError("expected a URL", field="url")
    if not payload:
        raise MessageError("expected a payload", field="payload")
    return WebhookMessage(
        url=url,
        payload=plain(payload, field="payload"),
        headers=_headers(given.get("headers")),
        timeout=_number(given.get("timeout"), field="timeout", default=10.0),
        max_retries=int(_number(given.get("max_retries"), field="max_retries", default=0)),
        retry_delay=_number(given.get("retry_delay"), field="retry_delay", default=10.0),
        platform=optional_text(given.get("platform"), field="platform"),
        buffer_row_ids=_row_ids(given.get("buffer_row_ids")),
        organization_id=_organization(given.get("organization_id")),
    )


def _headers(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise MessageError("expected object of strings", field="headers")
    for name, text in value.items():
        if not one_line((name + text).replace("\t", " ")):
            raise MessageError("control character", field="headers")
    return dict(value)


def _organization(value: object) -> str | None:
    if value is None:
        return None
    number = isinstance(value, int) and not isinstance(value, bool)
    return opaque_id(f"{value:d}" if number else value, field="organization_id")


def _number(value: object, *, field: str, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        raise MessageError("expected a number from 0 to 86400", field=field)
    return float(value)


def _row_ids(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise MessageError("expected list", field="buffer_row_ids")
    return tuple(row for entry in value if (row := _row_id(entry)) is not None)


def _row_id(value: object) -> str | None:
    """One that cannot be read keeps neither the webhook nor the other rows from their marks: its lease runs out."""
    try:
        return uuids(buffer_row_id=opaque_id(value, field="buffer_row_ids"))["buffer_row_id"]
    except MessageError as error:
        log.warning("a buffered row cannot be marked", reason=error.reason)
        return None
