"""A webhook to deliver: `send_webhook_notification`, and its body (contract: tasks 6.3, 6.4)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import Factory, field, frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import opaque_id, uuids
from unstract_worker_core.messages.fields import is_one_line, named, optional_text, plain
from unstract_worker_core.observability.logs import get_logger

log = get_logger(__name__)

_ORDER = (
    "url", "payload", "headers", "timeout", "max_retries", "retry_delay", "platform", "raise_on_final_failure",
    "buffer_row_ids", "organization_id",
)  # fmt: skip
Event = Mapping[str, Any]
_EVENT_KEYS = ("type", "pipeline_name", "status", "execution_id", "timestamp", "additional_data")
_OPTIONAL_KEYS = ("error_message", "is_failure")
_FLAT_KEYS = (
    "type", "pipeline_id", "pipeline_name", "status", "execution_id", "error_message", "timestamp", "additional_data",
)  # fmt: skip
_MOST_LINES = 25
_DIVIDER = "———"
_GOOD, _BAD = ":white_check_mark:", ":x:"


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
    given = named(args, kwargs, _ORDER)
    url, payload = given.get("url"), given.get("payload")
    if not isinstance(url, str) or not url or len(url) > 2048 or not is_one_line(url):
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
        if not is_one_line((name + text).replace("\t", " ")):
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
    """A row id that cannot be read affects neither the webhook nor the other rows: the row's lease runs out."""
    try:
        return uuids(buffer_row_id=opaque_id(value, field="buffer_row_ids"))["buffer_row_id"]
    except MessageError as error:
        log.warning("a buffered row cannot be marked", reason=error.reason)
        return None


def render(payload: Any, platform: str | None) -> Any:
    """The body for a platform: text for SLACK, the envelope for every other one. A flat payload is put into it."""
    if not isinstance(payload, Mapping):
        return {"text": str(payload)} if platform == "SLACK" else payload
    if platform == "SLACK":
        if "text" in payload and "events" not in payload:
            return {"text": payload["text"]}
        return {"text": slack_text(_events(payload if "events" in payload else envelope(payload)))}
    return dict(payload) if "events" in payload else envelope(payload)


def envelope(payload: Event) -> dict[str, Any]:
    """The envelope around one flat payload, with the payload's own keys beside it. Unknown keys go to its data."""
    unknown = {key: payload[key] for key in payload if key not in (*_FLAT_KEYS, "is_failure")}
    known = {**payload, "additional_data": payload.get("additional_data") or unknown}
    event = {key: known.get(key) for key in _EVENT_KEYS} | {
        key: known[key] for key in _OPTIONAL_KEYS if known.get(key) is not None
    }
    event["timestamp"] = _readable(known.get("timestamp"))
    flat = {key: known[key] for key in _FLAT_KEYS if known.get(key) is not None}
    bad = int(failed(known))
    return {"summary": {"total": 1, "succeeded": 1 - bad, "failed": bad}, "events": [event], **flat}


def slack_text(events: Iterable[Event]) -> str:
    """Totals, a divider, a line for each of the first 25 events, and how many more there are."""
    given = list(events)
    bad = sum(map(failed, given))
    count = f"*{len(given)} execution{'' if len(given) == 1 else 's'}*"
    lines = [f"{count} ({_GOOD} {len(given) - bad} succeeded  {_BAD} {bad} failed)", _DIVIDER]
    lines += [_line(event) for event in given[:_MOST_LINES]]
    if len(given) > _MOST_LINES:
        lines.append(f"... and {len(given) - _MOST_LINES} more")
    return "\n".join(lines)


def failed(event: Event) -> bool:
    """Whether an event reports a failure: by its flag `is_failure`, its status, or a failed file."""
    flag = event.get("is_failure")
    if flag is not None:
        return bool(flag)
    return event.get("status") in ("ERROR", "STOPPED") or bool(_count(event, "failed_files"))


def _events(body: Event) -> list[Event]:
    events = body.get("events")
    return [event for event in events if isinstance(event, Mapping)] if isinstance(events, list) else []


def _line(event: Event) -> str:
    execution, error = event.get("execution_id"), event.get("error_message")
    parts = [
        _readable(event.get("timestamp")),
        f"*{execution}*" if execution else None,
        event.get("type"),
        event.get("pipeline_name"),
        event.get("status"),
        _files(event),
        f"_{error}_" if error else None,
    ]
    return " · ".join(str(part) for part in parts if part)


def _files(event: Event) -> str | None:
    total = _count(event, "total_files")
    if total is None:
        return None
    return f"{_BAD if failed(event) else _GOOD} {_count(event, 'successful_files') or 0}/{total} files"


def _count(event: Event, name: str) -> int | None:
    data = event.get("additional_data")
    value = data.get(name) if isinstance(data, Mapping) else None
    return value if type(value) is int else None


def _readable(timestamp: object) -> str | None:
    """2026-05-05T17:03:34+00:00 as 2026 May 5 05:03:34 PM, in UTC; anything else as it is."""
    if not isinstance(timestamp, str):
        return None
    try:
        at = datetime.fromisoformat(timestamp)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):  # its zone may put it before the first year or after the last
        return timestamp
    return f"{at:%Y %B} {at.day} {at:%I:%M:%S %p}"
