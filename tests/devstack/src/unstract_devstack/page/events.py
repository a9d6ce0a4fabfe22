"""What happened to an execution, out of three sources that know nothing of each other."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import frozen

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page.sources import Sources
from unstract_devstack.sink import Delivery


@frozen
class Event:
    """Something that happened: who says so (worker, backend, webhook), and what. `at`: seconds since the epoch."""

    key: str
    at: float
    source: str
    level: str
    text: str


@frozen
class Hook:
    """A webhook as it arrived at the sink; empty strings where the body does not say."""

    key: str
    at: float
    path: str
    status: str
    about: str
    execution_id: str


def execution_events(sources: Sources, execution: sqlite3.Row, effects: Sequence[sqlite3.Row]) -> tuple[Event, ...]:
    """What workers logged for the UI, changes of the execution's status, and webhooks, in the order of time."""
    events = [
        *_logged(sources, execution),
        *(_effect(effect, {}) for effect in effects if not _of_a_file(effect)),
        *(_arrived(hook) for hook in hooks(sources.deliveries()) if hook.execution_id == execution["id"]),
    ]
    return tuple(sorted(events, key=lambda event: event.at))


def effect_events(effects: Sequence[sqlite3.Row], names: Mapping[str, str]) -> tuple[Event, ...]:
    """The effects on files, with the files' `names` by id."""
    return tuple(_effect(effect, names) for effect in effects if _of_a_file(effect))


def hooks(deliveries: Sequence[Delivery]) -> Iterator[Hook]:
    """Webhooks as they arrived, with what their bodies say."""
    for number, delivery in enumerate(deliveries):
        content = _object(delivery.body)
        yield Hook(
            key=f"hook-{number}",
            at=delivery.at,
            path=delivery.path,
            status=str(content.get("status") or ""),
            about=str(content.get("pipeline_name") or ""),
            execution_id=str(content.get("execution_id") or ""),
        )


def _logged(sources: Sources, execution: sqlite3.Row) -> Iterator[Event]:
    if not execution["channel"]:
        return
    try:
        content = sources.log_events(execution["channel"])
    except CallFailed as error:
        yield Event(
            "log-failed", execution["created"], "page", "ERROR", f"The backend does not give log events: {error}"
        )
        return
    mine = (each for each in content if isinstance(each, Mapping) and each.get("execution_id") == execution["id"])
    for number, each in enumerate(mine):
        at = each.get("timestamp")
        yield Event(
            key=f"log-{number}",
            at=float(at) if isinstance(at, int | float) else execution["created"],
            source="worker",
            level=str(each.get("level") or ""),
            text=str(each.get("log") or each.get("message") or ""),
        )


def _of_a_file(effect: sqlite3.Row) -> bool:
    return not effect["operation"].startswith(("executions.", "user.", "pipelines.", "notifications.", "buffer."))


def _effect(effect: sqlite3.Row, names: Mapping[str, str]) -> Event:
    detail, status = json.loads(effect["detail"]), ""
    if detail.get("status"):
        status = f"{detail['before']} → {detail['status']}" if detail.get("before") else str(detail["status"])
    file = names.get(effect["file"]) or names.get(str(detail.get("file_execution_id"))) or effect["file"]
    level = "ERROR" if str(detail.get("status", "")).upper() == "ERROR" else "INFO"
    text = "  ".join(filter(None, (effect["operation"], status, file)))
    return Event(f"effect-{effect['id']}", effect["at"], "backend", level, text)


def _arrived(hook: Hook) -> Event:
    content = f"{hook.path}: {hook.status}" if hook.status else hook.path
    return Event(hook.key, hook.at, "webhook", "INFO", content)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
