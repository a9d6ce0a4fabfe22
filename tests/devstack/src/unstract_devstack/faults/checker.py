"""Judges executions by what the backend and the webhook sink recorded, never by what the workers say.

Pure functions: the same history gives the same verdict.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from attrs import define, field, fields, frozen

from unstract_devstack.platform_client import Effect, ExecutionRow
from unstract_devstack.sink import Delivery

KEYED, AS_REAL = "keyed", "as-real"
"""How the backend treats idempotency keys: applies each once, or ignores them as the recorded one does."""
TERMINAL = frozenset({"COMPLETED", "ERROR", "STOPPED"})
HARNESS = "harness:"
"""Begins the idempotency key of every write of the harness itself."""


@frozen
class Problem:
    """One thing that is wrong, in a sentence; with the execution that it is about, if it is about one."""

    text: str
    execution_id: str | None = None

    def __str__(self) -> str:
        return f"{self.text} ({self.execution_id})"


@define
class Tally:
    """Counts over executions. Sums are counts over both.

    `effects_doubled` counts with a backend that applies an idempotency key once, `effects_doubled_unkeyed` with one
    that ignores keys. `callbacks` are terminal writes.
    """

    executions: int = 0
    terminal: int = 0
    files: int = 0
    effects_lost: int = 0
    effects_doubled: int = 0
    effects_doubled_unkeyed: int = 0
    callbacks_lost: int = 0
    callbacks_doubled: int = 0
    notifications_lost: int = 0
    notifications_doubled: int = 0
    status_regressions: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Tally)))

    @property
    def pending(self) -> int:
        """What may still come: executions that have not ended, events that have not arrived."""
        return self.executions - self.terminal + self.notifications_lost


@define
class Judged:
    """A tally with the problems that make it up; what an ignored key explains is counted and is no problem."""

    tally: Tally = field(factory=Tally)
    problems: list[Problem] = field(factory=list)

    def add(self, counter: str, number: int, text: str, execution_id: str, *, allowed: bool = False) -> None:
        """Counts `number` more of something wrong, if any; `allowed`: an ignored key explains it."""
        if number > 0:
            setattr(self.tally, counter, getattr(self.tally, counter) + number)
            if not allowed:
                self.problems.append(Problem(f"{counter} +{number}: {text}", execution_id))

    def take(self, other: "Judged") -> None:
        self.tally += other.tally
        self.problems.extend(other.problems)


@frozen
class Sent:
    """One execution that the platform accepted, and what is expected of it.

    Attributes:
        good: names of the files that must be worked on exactly once.
        bad: how many further files must end as failed.
        copies: how many further uploads are equal to a good one: worked on together, counted each.
        doomed: names of files whose effect is not counted: the experiment kills their workers.
        stopped: a user stops it: what was not started stays so.
        status: the terminal status that is expected; None for any.
        counted: whether its row must report every good file as successful.
        subscribers: how many webhooks are to be notified of its end, each once.
    """

    execution_id: str
    organization: str
    good: frozenset[str]
    bad: int = 0
    copies: int = 0
    doomed: frozenset[str] = frozenset()
    stopped: bool = False
    status: str | None = "COMPLETED"
    counted: bool = True
    subscribers: int = 0

    @property
    def files(self) -> int:
        return len(self.good) + self.bad + self.copies + len(self.doomed)


@frozen
class Announcement:
    """One delivery: where it arrived and under which id."""

    path: str
    webhook_id: str


def judge(
    sent: Sequence[Sent],
    effects: Mapping[str, Sequence[Effect]],
    rows: Mapping[str, ExecutionRow],
    arrived: Mapping[str, Sequence[Announcement]],
    *,
    keyed: bool,
) -> Judged:
    """The verdict on these executions. `arrived`: as `announcements` gives it."""
    judged = Judged()
    for each in sent:
        own, row = effects.get(each.execution_id, ()), rows.get(each.execution_id)
        judged.tally.executions += 1
        judged.tally.files += each.files
        judged.tally.terminal += row is not None and row.status in TERMINAL
        _files(judged, each, own, row, keyed=keyed)
        _statuses(judged, each, own, row)
        _notifications(judged, each, own, arrived.get(each.execution_id, ()), keyed=keyed)
    return judged


def announcements(deliveries: Sequence[Delivery]) -> dict[str, list[Announcement]]:
    """For each execution the deliveries that announced its end."""
    found: dict[str, list[Announcement]] = {}
    for delivery in deliveries:
        for event in json.loads(delivery.body or b"{}").get("events", ()):
            if event.get("execution_id") and event.get("status") != "INPROGRESS":
                announcement = Announcement(delivery.path, delivery.headers.get("webhook-id", ""))
                found.setdefault(event["execution_id"], []).append(announcement)
    return found


def _files(judged: Judged, sent: Sent, effects: Sequence[Effect], row: ExecutionRow | None, *, keyed: bool) -> None:
    times = Counter(str(each.detail.get("name")) for each in effects if each.operation == "files.execute")
    doubled = {name: number for name, number in times.items() if number > 1 and name not in sent.doomed}
    counter = "effects_doubled" if keyed else "effects_doubled_unkeyed"
    more = sum(doubled.values()) - len(doubled)
    judged.add(counter, more, f"worked on again: {doubled}", sent.execution_id, allowed=not keyed)
    if sent.stopped:
        return
    missing = sorted(sent.good - times.keys())
    judged.add("effects_lost", len(missing), f"never worked on: {missing[:5]}", sent.execution_id)
    if row is None or row.status not in TERMINAL or sent.doomed or not sent.counted:
        return
    expected = len(sent.good) + sent.copies
    unreported = expected - row.successful - len(missing)
    text = f"worked on, but the execution ended with {row.successful} of {expected}: {row.error!r}"
    judged.add("effects_lost", unreported, text, sent.execution_id)


def _statuses(judged: Judged, sent: Sent, effects: Sequence[Effect], row: ExecutionRow | None) -> None:
    standing, writes, regressions, disturbed = "", 0, 0, False
    for each in effects:
        if each.operation not in ("executions.update_status", "user.stop"):
            continue
        by_hand = each.operation == "user.stop" or (each.key or "").startswith(HARNESS)
        if by_hand:
            disturbed = bool(standing)
            written = each.status or "STOPPED"
            standing = standing or (written if written in TERMINAL else "")
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
        other = sent.status is not None and shown != sent.status
        judged.add("callbacks_lost", int(other), f"ended {shown}, not {sent.status}", execution_id)
    text = f"ended {standing or 'nowhere'}, shows {shown}"
    judged.add("status_regressions", regressions, text, execution_id)


def _notifications(
    judged: Judged, sent: Sent, effects: Sequence[Effect], arrived: Sequence[Announcement], *, keyed: bool
) -> None:
    if not sent.subscribers or not any(
        each.operation == "executions.update_status" and each.status in TERMINAL for each in effects
    ):
        return
    ends = [each for each in effects if each.operation == "notifications.enqueue" and each.status != "INPROGRESS"]
    subscribers = len({each.detail.get("notification_id") for each in ends})
    dispatched = sum(each.operation == "notifications.dispatch" for each in effects)
    receivers = len({each.path for each in arrived})
    # One that the backend could not hand to its broker is the backend's to send again, much later.
    lost = sent.subscribers - subscribers + max(0, min(dispatched, sent.subscribers) - receivers)
    text = f"{sent.subscribers} subscribers: {subscribers} notified, {dispatched} dispatched, {receivers} reached"
    judged.add("notifications_lost", lost, text, sent.execution_id)
    # A receiver that honours the id of a delivery takes a repeat of it for what it is.
    copies = len(set(arrived)) if keyed else len(arrived)
    extra = max(len(ends) - subscribers, copies - receivers)
    text = f"enqueued {len(ends)} times, delivered {len(arrived)} times for {sent.subscribers} subscribers"
    judged.add("notifications_doubled", extra, text, sent.execution_id, allowed=not keyed)
