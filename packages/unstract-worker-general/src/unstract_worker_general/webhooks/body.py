"""A webhook's body: the envelope of the API platform, or Slack's text (contract: tasks 6.3, 6.4)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["envelope", "failed", "render", "slack_text"]

Event = Mapping[str, Any]

_EVENT_KEYS = ("type", "pipeline_name", "status", "execution_id", "timestamp", "additional_data")
_OPTIONAL_KEYS = ("error_message", "is_failure")
_FLAT_KEYS = (
    "type", "pipeline_id", "pipeline_name", "status", "execution_id", "error_message", "timestamp", "additional_data",
)  # fmt: skip
_MOST_LINES = 25
_DIVIDER = "———"
_GOOD, _BAD = ":white_check_mark:", ":x:"


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
    except ValueError:
        return timestamp
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return f"{at:%Y %B} {at.day} {at:%I:%M:%S %p}"
