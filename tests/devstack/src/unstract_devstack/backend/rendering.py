"""Bodies of notifications, as the receivers get them: the platform's envelope, and text for Slack."""

from datetime import UTC, datetime
from typing import Any

MAX_EVENTS = 500
MAX_LINES = 25
# Of an event as it is kept; of a single one they are at the top of the body too.
EVENT_FIELDS = (
    "type", "pipeline_id", "pipeline_name", "status", "execution_id", "error_message", "timestamp", "additional_data",
)  # fmt: skip


def failed(event: dict[str, Any]) -> bool:
    """Whether an event is a failure."""
    if event.get("is_failure") is not None:
        return bool(event["is_failure"])
    return event["status"] in {"ERROR", "STOPPED"} or _count(event, "failed_files") > 0


def _count(event: dict[str, Any], name: str) -> int:
    return int((event.get("additional_data") or {}).get(name) or 0)


def readable(timestamp: str | None) -> str:
    """2026 May 5 05:03:34 PM; a timestamp that can not be read is now."""
    try:
        at = datetime.fromisoformat(timestamp or "")
    except ValueError:
        at = datetime.now(UTC)
    return f"{at:%Y %B} {at.day} {at:%I:%M:%S %p}"


def envelope(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Summary and events; a single event's fields also at the top."""
    bad = sum(1 for event in events if failed(event))
    content: dict[str, Any] = {
        "summary": {"total": len(events), "succeeded": len(events) - bad, "failed": bad},
        "events": [_listed(event) for event in events[:MAX_EVENTS]],
    }
    if len(events) == 1:
        content.update({name: events[0][name] for name in EVENT_FIELDS if events[0].get(name) is not None})
    return content


def _listed(event: dict[str, Any]) -> dict[str, Any]:
    names = ("type", "pipeline_name", "status", "execution_id")
    shown = {name: event.get(name) for name in names}
    shown["timestamp"] = readable(event.get("timestamp"))
    shown["additional_data"] = event.get("additional_data") or {}
    if event.get("error_message"):
        shown["error_message"] = event["error_message"]
    if failed(event):
        shown["is_failure"] = True
    return shown


def slack(events: list[dict[str, Any]]) -> dict[str, str]:
    """One text: a line with the totals, a divider, a line per event."""
    bad = sum(1 for event in events if failed(event))
    noun = "execution" if len(events) == 1 else "executions"
    head = f"*{len(events)} {noun}* (:white_check_mark: {len(events) - bad} succeeded  :x: {bad} failed)"
    lines = [head, "———", *(_line(event) for event in events[:MAX_LINES])]
    if len(events) > MAX_LINES:
        lines.append(f"... and {len(events) - MAX_LINES} more")
    return {"text": "\n".join(lines)}


def _line(event: dict[str, Any]) -> str:
    execution = f"*{event['execution_id']}*" if event.get("execution_id") else None
    files = None
    if _count(event, "total_files"):
        mark = ":x:" if failed(event) else ":white_check_mark:"
        files = f"{mark} {_count(event, 'successful_files')}/{_count(event, 'total_files')} files"
    error = f"_{event['error_message']}_" if event.get("error_message") else None
    parts = [readable(event.get("timestamp")), execution, event.get("type"), event.get("pipeline_name")]
    return " · ".join(str(part) for part in (*parts, event["status"], files, error) if part)
