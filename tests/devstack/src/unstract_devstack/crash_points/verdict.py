"""What the backend and the sink saw of one scenario, and what is wrong with it. Workers are not asked."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from unstract_devstack.crash_points.scenarios import Expected, Ground
from unstract_devstack.faults.checker import KEYED, TERMINAL, Sent, announcements, judge
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.platform_client import Effect, ExecutionRow
from unstract_devstack.sink import Delivery

# A kill hits at most one file of each batch, or one write for all files, and one of whatever else there is.
EXTRA_FILES, EXTRA = 3, 1
# What is enqueued twice is marked twice.
ENQUEUED, MARKED = "notifications.enqueue", "notifications.mark_dispatched"
# Never repeated even where keys are ignored: they are looked up first.
LOOKED_UP = ("executions.create", "files.create", "history.create")
# A row's status may be written again, with others and so under another key: what it shows last is what counts.
ROW_STATUS = "files.update_status"
PAID = {"status": "success"}


@frozen
class Seen:
    """What happened since a moment: effects by operation and status, executions, deliveries."""

    effects: tuple[Effect, ...]
    executions: Mapping[str, ExecutionRow]
    deliveries: tuple[Delivery, ...] = field(repr=False)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """How often each effect was applied, but for rows' statuses; a mark of several rows counts for each."""
        found: Counter[tuple[str, str]] = Counter()
        for each in self.effects:
            if each.operation == ROW_STATUS:
                continue
            found[each.operation, each.status] += int(each.detail.get("updated", 1))
        return found

    @property
    def rows(self) -> Counter[str]:
        """How many rows show each status in the end."""
        return Counter({each.file: each.status for each in self.effects if each.operation == ROW_STATUS}.values())

    @property
    def announced(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """For each event that the sink received, the delivery ids it came under, one for each time."""
        found: dict[tuple[str, str], list[str]] = {}
        for delivery in self.deliveries:
            for event in _events(delivery):
                found.setdefault(event, []).append(delivery.headers.get("webhook-id", ""))
        return found


def look(ground: Ground, expected: Expected, *, after: int) -> Seen:
    """What happened after the effect with this id and, for this organization, at the sink."""
    executions = {row.id: row for row in expected.platform.executions()}
    # What the executor was paid for is the same work as the backend's own on a file.
    paid = (
        Effect(0, each["at"], "files.execute", each["execution"], each["file"], None, PAID | {"name": each["name"]})
        for each in ground.platform_executor.bill.lines()
        if each["execution"] in executions
    )
    return Seen((*ground.backend.dev.effects(after=after), *paid), executions, _deliveries(ground, expected))


def ended(ground: Ground, expected: Expected) -> bool:
    """Whether the execution is over and its subscriber was notified."""
    if expected.status is not None:
        rows = expected.platform.executions()
        if not rows or any(row.status not in TERMINAL for row in rows):
            return False
    events = (event for delivery in _deliveries(ground, expected) for event in _events(delivery))
    return any(status != "INPROGRESS" for _, status in events)


def problems(seen: Seen, expected: Expected, mode: str, usual: Seen | None) -> Iterator[str]:
    """What is wrong; `usual` is what the same scenario looks like without a kill."""
    if expected.status is not None:
        yield from _execution(seen, expected, mode)
    if usual is not None:
        yield from _compared(seen.counts, usual.counts, mode)
        if seen.rows != usual.rows:
            yield f"the rows show {dict(seen.rows)}, usually {dict(usual.rows)}"
        yield from _announcements(seen, usual, mode)


def _execution(seen: Seen, expected: Expected, mode: str) -> Iterator[str]:
    if len(seen.executions) != 1:
        yield f"{len(seen.executions)} executions instead of one"
        return
    ((execution_id, row),) = seen.executions.items()
    good = frozenset(expected.good)
    sent = Sent(
        execution_id, expected.platform.organization, good,
        stopped=expected.status == "STOPPED", status=expected.status, subscribers=1,
    )  # fmt: skip
    own = [each for each in seen.effects if each.execution_id == execution_id]
    judged = judge([sent], {execution_id: own}, seen.executions, announcements(seen.deliveries), keyed=mode == KEYED)
    yield from (problem.text for problem in judged.problems)
    if row.successful != len(good) or (good and row.total != len(good)):
        errors = [file.error for file in row.files if file.error]
        yield f"the execution shows {row.successful} of {row.total} files, not {len(good)}: {errors}"
    if expected.api_name is None or not good:
        return
    try:
        names = [str(item["file"]) for item in expected.platform.results(expected.api_name, execution_id).items]
    except CallFailed as error:
        yield f"no results for the caller: {error}"
        return
    if sorted(names) != sorted(good):
        yield f"the caller got {names}"


def _compared(counts: Counter[tuple[str, str]], usual: Counter[tuple[str, str]], mode: str) -> Iterator[str]:
    for effect in sorted(counts.keys() | usual.keys()):
        operation, status = effect
        few = many = usual[effect]
        if mode != KEYED and operation not in LOOKED_UP:
            many += EXTRA_FILES if operation.startswith("files.") else EXTRA
            many += max(0, _times(counts, ENQUEUED) - _times(usual, ENQUEUED)) if operation == MARKED else 0
        if not few <= counts[effect] <= many:
            yield f"{operation} {status}: {counts[effect]} times, usually {few}" + (f" to {many}" if many > few else "")


def _times(counts: Counter[tuple[str, str]], operation: str) -> int:
    return sum(times for (counted, _), times in counts.items() if counted == operation)


def _announcements(seen: Seen, usual: Seen, mode: str) -> Iterator[str]:
    if len(seen.announced) != len(usual.announced):
        yield f"the receiver got {len(seen.announced)} events, usually {len(usual.announced)}"
    most = max((len(ids) for ids in usual.announced.values()), default=0) + EXTRA
    for event, ids in seen.announced.items():
        if len(set(ids)) > (1 if mode == KEYED else 1 + EXTRA):
            yield f"{event} came under {len(set(ids))} delivery ids"
        if len(ids) > most:
            yield f"{event} was delivered {len(ids)} times"


def _deliveries(ground: Ground, expected: Expected) -> tuple[Delivery, ...]:
    path = f"/hooks/{expected.platform.organization}/0"
    return tuple(each for each in ground.sink.received() if each.path == path)


def _events(delivery: Delivery) -> list[tuple[str, str]]:
    events = json.loads(delivery.body or b"{}").get("events")
    return [(str(each.get("execution_id")), str(each["status"])) for each in events] if events else [("", "")]
