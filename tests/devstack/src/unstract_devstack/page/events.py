"""What happened to an execution, out of three sources that know nothing of each other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page.backend_rows import EffectRow
from unstract_devstack.page.shapes import Event, ExecutionLine, Hook
from unstract_devstack.page.sources import Sources
from unstract_devstack.sink import Delivery


def execution_events(sources: Sources, execution: ExecutionLine, effects: Sequence[EffectRow]) -> tuple[Event, ...]:
    """What workers logged for the UI, changes of the execution's status, and webhooks, in the order of time."""
    events = [
        *_logged(sources, execution),
        *(_effect(effect, {}) for effect in effects if not _of_a_file(effect)),
        *(_arrived(hook) for hook in hooks(sources.deliveries()) if hook.execution_id == execution.id),
    ]
    return tuple(sorted(events, key=lambda event: event.at))


def effect_events(effects: Sequence[EffectRow], names: Mapping[str, str]) -> tuple[Event, ...]:
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


def _logged(sources: Sources, execution: ExecutionLine) -> Iterator[Event]:
    if not execution.channel:
        return
    try:
        content = sources.log_events(execution.channel)
    except CallFailed as error:
        yield Event("log-failed", execution.created, "page", "ERROR", f"The backend does not give log events: {error}")
        return
    mine = (each for each in content if isinstance(each, Mapping) and each.get("execution_id") == execution.id)
    for number, each in enumerate(mine):
        at = each.get("timestamp")
        yield Event(
            key=f"log-{number}",
            at=float(at) if isinstance(at, int | float) else execution.created,
            source="worker",
            level=str(each.get("level") or ""),
            text=str(each.get("log") or each.get("message") or ""),
        )


def _of_a_file(effect: EffectRow) -> bool:
    return not effect.operation.startswith(("executions.", "user.", "pipelines.", "notifications.", "buffer."))


def _effect(effect: EffectRow, names: Mapping[str, str]) -> Event:
    detail = effect.detail
    content = [effect.operation]
    if detail.get("status"):
        before = detail.get("before")
        content.append(f"{before} → {detail['status']}" if before else str(detail["status"]))
    file = names.get(effect.file) or names.get(str(detail.get("file_execution_id"))) or effect.file
    if file:
        content.append(file)
    level = "ERROR" if str(detail.get("status", "")).upper() == "ERROR" else "INFO"
    return Event(f"effect-{effect.id}", effect.at, "backend", level, "  ".join(content))


def _arrived(hook: Hook) -> Event:
    content = f"{hook.path}: {hook.status}" if hook.status else hook.path
    return Event(hook.key, hook.at, "webhook", "INFO", content)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
