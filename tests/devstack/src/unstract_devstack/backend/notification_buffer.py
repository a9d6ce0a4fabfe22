"""Buffered notifications: due events of one target are rendered into one body and sent as one task.

Bodies are as the receivers get them: the platform's envelope, and text for Slack.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from unstract_devstack.backend.database import Row, pick
from unstract_devstack.backend.services import Services
from unstract_devstack.producer import NOTIFICATION_QUEUE, SendFailed

log = logging.getLogger(__name__)

SENDING_LEASE_SECONDS = 900
MAX_ATTEMPTS = 5
RETRY_DELAY = 10
REQUEST_SECONDS = 5
MAX_EVENTS = 500
MAX_LINES = 25
# Of an event as it is kept; of a single one they are at the top of the body too.
EVENT_FIELDS = (
    "type", "pipeline_id", "pipeline_name", "status", "execution_id", "error_message", "timestamp", "additional_data",
)  # fmt: skip


def interval(services: Services, organization_pk: int) -> float:
    """Seconds for which an event waits for others: the organization's, else the backend's."""
    key = {"organization_pk": organization_pk, "key": "NOTIFICATION_CLUB_INTERVAL"}
    row = services.database.get("configurations", **key)
    return float(row["value"]) if row else services.config.club_seconds


def process(services: Services) -> dict[str, int]:
    """Give back rows whose sending was not confirmed, then send the due ones, a task per group; how many there were."""
    at, groups = time.time(), dict[tuple[Any, ...], list[Row]]()
    with services.database.write() as connection:
        given_back = connection.execute(
            "UPDATE notification_buffer SET sending_since = NULL,"
            " status = CASE WHEN attempts >= ? THEN 'DEAD_LETTER' ELSE 'PENDING' END"
            " WHERE status = 'SENDING' AND sending_since < ?",
            (MAX_ATTEMPTS, at - SENDING_LEASE_SECONDS),
        ).rowcount
        due = services.database.all("SELECT * FROM due_notifications WHERE flush_after <= ? ORDER BY created", at)
        for row in due:
            target = (row["organization_pk"], row["url"], row["platform"], *headers_of(row).items())
            groups.setdefault(target, []).append(row)
            values = {"status": "SENDING", "sending_since": at, "attempts": row["attempts"] + 1}
            services.database.update("notification_buffer", row["id"], **values)
    for rows in groups.values():
        _send(services, rows)
    return {"dispatched_groups": len(groups), "dispatched_rows": len(due), "reclaimed_rows": given_back}


def _send(services: Services, rows: Sequence[Row]) -> None:
    """Send rows of one target in one body."""
    events = [row["event"] for row in rows]
    body = slack(events) if rows[0]["platform"] == "SLACK" else envelope(events)
    kwargs: dict[str, Any] = {
        "max_retries": max(row["max_retries"] for row in rows),
        "retry_delay": RETRY_DELAY,
        "raise_on_final_failure": True,
        "buffer_row_ids": [row["id"] for row in rows],
        "organization_id": rows[0]["organization_pk"],
        **pick(rows[0], "platform"),
    }
    args = [rows[0]["url"], body, headers_of(rows[0]), REQUEST_SECONDS]
    try:
        services.producer.webhook(args, kwargs, NOTIFICATION_QUEUE)
    except SendFailed as problem:
        log.warning("notification not sent, its rows stay as they are until they are given back: %s", problem)
        return
    with services.database.write():
        for row, event in zip(rows, events, strict=True):
            ids = {"execution_id": event.get("execution_id"), "buffer_row_id": row["id"]}
            services.database.record("notifications.dispatch", **ids, status=event["status"])


def headers_of(target: Row | Mapping[str, Any]) -> dict[str, str]:
    """The headers of a webhook by its kind of authorization."""
    headers = {"Content-Type": "application/json"}
    key = target["authorization_key"] or ""
    match target["authorization_type"]:
        case "BEARER":
            headers["Authorization"] = f"Bearer {key}"
        case "API_KEY":
            headers["Authorization"] = key
        case "CUSTOM_HEADER":
            headers[target["authorization_header"] or "Authorization"] = key
    return headers


def process_until(services: Services, ended: threading.Event) -> None:
    """Sends what is due at intervals, in place of the platform's side-car."""
    while services.broker is not None and not ended.wait(services.config.buffer_loop_seconds):
        try:
            process(services)
        except Exception:  # a thread's end: one bad round must not stop the rounds after it
            log.exception("the notification buffer was not processed")


def _failed(event: Mapping[str, Any]) -> bool:
    return event["status"] in {"ERROR", "STOPPED"} or _count(event, "failed_files") > 0


def _count(event: Mapping[str, Any], name: str) -> int:
    return int((event.get("additional_data") or {}).get(name) or 0)


def _readable(timestamp: str | None) -> str:
    """2026 May 5 05:03:34 PM; a timestamp that can not be read is now."""
    try:
        at = datetime.fromisoformat(timestamp or "")
    except ValueError:
        at = datetime.now(UTC)
    return f"{at:%Y %B} {at.day} {at:%I:%M:%S %p}"


def envelope(events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summary and events; a single event's fields also at the top."""
    bad = sum(map(_failed, events))
    content: dict[str, Any] = {
        "summary": {"total": len(events), "succeeded": len(events) - bad, "failed": bad},
        "events": [_listed(event) for event in events[:MAX_EVENTS]],
    }
    if len(events) == 1:
        content |= {name: events[0][name] for name in EVENT_FIELDS if events[0].get(name) is not None}
    return content


def _listed(event: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: event.get(name) for name in ("type", "pipeline_name", "status", "execution_id")}
    shown["timestamp"] = _readable(event.get("timestamp"))
    shown["additional_data"] = event.get("additional_data") or {}
    if event.get("error_message"):
        shown["error_message"] = event["error_message"]
    return shown | ({"is_failure": True} if _failed(event) else {})


def slack(events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """One text: a line with the totals, a divider, a line per event."""
    bad, noun = sum(map(_failed, events)), "execution" if len(events) == 1 else "executions"
    head = f"*{len(events)} {noun}* (:white_check_mark: {len(events) - bad} succeeded  :x: {bad} failed)"
    lines = [head, "———", *(_line(event) for event in events[:MAX_LINES])]
    if len(events) > MAX_LINES:
        lines.append(f"... and {len(events) - MAX_LINES} more")
    return {"text": "\n".join(lines)}


def _line(event: Mapping[str, Any]) -> str:
    execution, error = event.get("execution_id"), event.get("error_message")
    mark, total = ":x:" if _failed(event) else ":white_check_mark:", _count(event, "total_files")
    parts = [
        *(_readable(event.get("timestamp")), execution and f"*{execution}*", event.get("type")),
        *(event.get("pipeline_name"), event["status"]),
        f"{mark} {_count(event, 'successful_files')}/{total} files" if total else None,
        error and f"_{error}_",
    ]
    return " · ".join(str(part) for part in parts if part)
