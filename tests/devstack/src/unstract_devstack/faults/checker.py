"""Judges executions by what the backend and the webhook sink recorded, never by what the workers say.

Pure functions: the same history gives the same verdict.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import frozen

from unstract_devstack.faults.history import Applied, Ended
from unstract_devstack.faults.tally import Judged
from unstract_devstack.sink import Delivery

__all__ = ["HARNESS", "TERMINAL", "Sent", "announcements", "judge"]

TERMINAL = frozenset({"COMPLETED", "ERROR", "STOPPED"})
HARNESS = "harness:"
"""Begins the idempotency key of every write of the harness itself."""


@frozen
class Sent:
    """One execution that the platform accepted, and what is expected of it.

    Attributes:
        good: names of the files that must be worked on exactly once.
        bad: how many further files must end as failed.
        doomed: names of files whose effect is not counted: the experiment kills their workers.
        stopped: a user stops it: what was not started stays so.
        status: the terminal status that is expected; None for any.
        notified: whether somebody subscribed to its end.
    """

    execution_id: str
    organization: str
    good: frozenset[str]
    bad: int = 0
    doomed: frozenset[str] = frozenset()
    stopped: bool = False
    status: str | None = "COMPLETED"
    notified: bool = False


def judge(
    sent: Sequence[Sent],
    effects: Mapping[str, Sequence[Applied]],
    rows: Mapping[str, Ended],
    arrived: Mapping[str, Sequence[str]],
    *,
    keyed: bool,
) -> Judged:
    """The verdict on these executions. `arrived`: webhook ids by execution, as `announcements` gives them."""
    judged = Judged()
    for each in sent:
        own, row = effects.get(each.execution_id, ()), rows.get(each.execution_id)
        judged.tally.executions += 1
        judged.tally.files += len(each.good) + each.bad + len(each.doomed)
        judged.tally.terminal += row is not None and row.status in TERMINAL
        _files(judged, each, own, row, keyed=keyed)
        _statuses(judged, each, own, row)
        _notifications(judged, each, own, arrived.get(each.execution_id, ()), keyed=keyed)
    return judged


def announcements(deliveries: Sequence[Delivery]) -> dict[str, list[str]]:
    """For each execution the webhook ids of the deliveries that told of its end, one entry per delivery."""
    found: dict[str, list[str]] = {}
    for delivery in deliveries:
        for event in json.loads(delivery.body or b"{}").get("events", ()):
            if event.get("execution_id") and event.get("status") != "INPROGRESS":
                found.setdefault(event["execution_id"], []).append(delivery.headers.get("webhook-id", ""))
    return found


def _files(judged: Judged, sent: Sent, effects: Sequence[Applied], row: Ended | None, *, keyed: bool) -> None:
    times = Counter(str(each.detail.get("name")) for each in effects if each.operation == "files.execute")
    doubled = {name: number for name, number in times.items() if number > 1 and name not in sent.doomed}
    counter = "effects_doubled" if keyed else "effects_doubled_unkeyed"
    judged.add(counter, sum(doubled.values()) - len(doubled), f"worked on again: {doubled}", sent.execution_id)
    if sent.stopped:
        return
    missing = sorted(sent.good - times.keys())
    judged.add("effects_lost", len(missing), f"never worked on: {missing[:5]}", sent.execution_id)
    if row is None or row.status not in TERMINAL or sent.doomed:
        return
    unreported = len(sent.good) - row.successful - len(missing)
    text = f"worked on, but the execution ended with {row.successful} of {len(sent.good)}: {row.error!r}"
    judged.add("effects_lost", unreported, text, sent.execution_id)


def _statuses(judged: Judged, sent: Sent, effects: Sequence[Applied], row: Ended | None) -> None:
    standing, writes, regressions, disturbed = "", 0, 0, False
    for each in effects:
        if each.operation not in ("executions.update_status", "user.stop"):
            continue
        by_hand = each.operation == "user.stop" or (each.key or "").startswith(HARNESS)
        if by_hand:
            disturbed = bool(standing)
            standing = standing or (each.status if each.status in TERMINAL else "")
        elif each.status in TERMINAL and (not standing or each.status == standing):
            writes += not (standing and disturbed)
            standing, disturbed = each.status, False
        elif standing:
            regressions += 1
    shown = row.status if row is not None else "no row"
    execution_id = sent.execution_id
    judged.add("callbacks_lost", int(shown not in TERMINAL), f"never ended, its status is {shown}", execution_id)
    judged.add("callbacks_doubled", writes - 1, f"ended {writes} times", execution_id)
    if shown in TERMINAL:
        regressions += bool(standing) and shown != standing and not sent.stopped
        regressions += sent.status is not None and shown != sent.status
    told = f"ended {standing or 'nowhere'}, shows {shown}, expected {sent.status}"
    judged.add("status_regressions", regressions, told, execution_id)


def _notifications(
    judged: Judged, sent: Sent, effects: Sequence[Applied], arrived: Sequence[str], *, keyed: bool
) -> None:
    if not sent.notified:
        return
    ends = [each for each in effects if each.operation == "notifications.enqueue" and each.status != "INPROGRESS"]
    dispatched = any(each.operation == "notifications.dispatch" for each in effects)
    ended = any(each.operation == "executions.update_status" and each.status in TERMINAL for each in effects)
    lost = (ended and not ends) or (dispatched and not arrived)
    # A receiver that honours the id of a delivery takes a repeat of it for what it is.
    copies = len(set(arrived)) if keyed else len(arrived)
    judged.add("notifications_lost", int(lost), "nobody was told of its end", sent.execution_id)
    extra = max(len(ends) - 1, copies - 1)
    text = f"told {len(ends)} times, delivered {len(arrived)} times ({len(set(arrived))} ids)"
    judged.add("notifications_doubled", extra, text, sent.execution_id)
