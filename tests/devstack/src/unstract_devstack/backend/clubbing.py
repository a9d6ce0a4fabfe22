"""Buffered notifications: due events of one target are rendered into one body and sent as one task."""

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attrs import frozen

from unstract_devstack.backend import rendering
from unstract_devstack.backend.database import Row
from unstract_devstack.backend.services import Services
from unstract_devstack.backend.timestamps import now
from unstract_devstack.producer import NOTIFICATION_QUEUE, SendFailed

log = logging.getLogger(__name__)

SENDING_LEASE_SECONDS = 900
MAX_ATTEMPTS = 5
RETRY_DELAY = 10
REQUEST_SECONDS = 5


@frozen
class Processed:
    """What one round did."""

    groups: int = 0
    rows: int = 0
    reclaimed: int = 0


@frozen
class Group:
    """Rows that go to one target of one organization in one body."""

    organization_pk: int
    url: str
    headers: tuple[tuple[str, str], ...]
    platform: str


def interval(services: Services, organization_pk: int) -> float:
    """Seconds for which an event waits for others: the organization's, else the backend's."""
    row = services.database.one(
        "SELECT value FROM configurations WHERE organization_pk = ? AND key = 'NOTIFICATION_CLUB_INTERVAL'",
        (organization_pk,),
    )
    return float(json.loads(row["value"])) if row else services.config.club_seconds


def process(services: Services) -> Processed:
    """Give back rows whose sending was not confirmed, then send the due ones, a task per group."""
    at = now()
    with services.database.write() as connection:
        given_back = connection.execute(
            "UPDATE notification_buffer SET sending_since = NULL,"
            " status = CASE WHEN attempts >= ? THEN 'DEAD_LETTER' ELSE 'PENDING' END"
            " WHERE status = 'SENDING' AND sending_since < ?",
            (MAX_ATTEMPTS, at - SENDING_LEASE_SECONDS),
        ).rowcount
        groups = _taken(services, at)
    sent = 0
    for group, rows in groups.items():
        _send(services, group, rows)
        sent += len(rows)
    return Processed(len(groups), sent, given_back)


def _taken(services: Services, at: float) -> dict[Group, list[Row]]:
    """The due rows by group, marked as being sent."""
    groups: dict[Group, list[Row]] = {}
    rows = services.database.all(
        "SELECT b.*, n.url, n.authorization_type, n.authorization_key, n.authorization_header, n.max_retries"
        " FROM notification_buffer b JOIN notifications n ON n.id = b.notification_id"
        " WHERE b.status = 'PENDING' AND b.flush_after <= ? ORDER BY b.created",
        (at,),
    )
    connection = services.database.connection()
    for row in rows:
        headers = tuple(headers_of(row).items())
        groups.setdefault(Group(row["organization_pk"], row["url"], headers, row["platform"]), []).append(row)
        connection.execute(
            "UPDATE notification_buffer SET status = 'SENDING', sending_since = ?, attempts = attempts + 1 WHERE id = ?",
            (at, row["id"]),
        )
    return groups


def _send(services: Services, group: Group, rows: list[Row]) -> None:
    events = [json.loads(row["event"]) for row in rows]
    body = rendering.slack(events) if group.platform == "SLACK" else rendering.envelope(events)
    args = [group.url, body, dict(group.headers), REQUEST_SECONDS]
    kwargs: dict[str, Any] = {
        "max_retries": max(row["max_retries"] for row in rows),
        "retry_delay": RETRY_DELAY,
        "platform": group.platform,
        "raise_on_final_failure": True,
        "buffer_row_ids": [row["id"] for row in rows],
        "organization_id": group.organization_pk,
    }
    try:
        services.producer.webhook(args, kwargs, NOTIFICATION_QUEUE)
    except SendFailed as problem:
        log.warning("notification not sent, its rows stay as they are until they are given back: %s", problem)
        return
    with services.database.write():
        for row, event in zip(rows, events, strict=True):
            ids = {"execution_id": event.get("execution_id"), "buffer_row_id": row["id"]}
            services.database.record("notifications.dispatch", **ids, status=event["status"])


def headers_of(target: Row | dict[str, Any]) -> dict[str, str]:
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


@contextmanager
def processing(services: Services) -> Iterator[None]:
    """Sends what is due again and again, in place of the platform's side-car, until the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=_rounds, args=(services, ended), name="notification-buffer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _rounds(services: Services, ended: threading.Event) -> None:
    while not ended.wait(services.config.buffer_loop_seconds):
        services.requests.flush()
        if services.broker is None:
            continue
        try:
            process(services)
        except Exception:  # a thread's end: one bad round must not stop the rounds after it
            log.exception("the notification buffer was not processed")
