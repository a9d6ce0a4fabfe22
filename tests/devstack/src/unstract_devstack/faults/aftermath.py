"""What is made of a trial after its end: what failed, how long executions took to recover, how much may have repeated.

A backend that ignores keys may show a repeat only where a fault hit the window between an effect and its record.
"""

from collections.abc import Iterator, Sequence

from unstract_devstack.faults.nemesis import Kind
from unstract_devstack.faults.trial import Trial
from unstract_devstack.platform_client import Effect

NEAR = 1.0
"""Seconds around a fault: the record of an effect, and the note before it, are that close."""
# Messages that are lost, repeated or late explain no repeat, nor do stale statuses and stops.
INNOCENT = frozenset(
    {
        Kind.DROP_DOORBELLS, Kind.DUPLICATE, Kind.LATE,
        "drop_unacked", "lost_callback", "stale_status", "user_stop", "stranded", "clock_jump", "later_release",
        "unknown_schema", "terminate", "back_pressure", "idle_connections_closed",
    }
)  # fmt: skip
CUT = 0
"""The status of a request whose connection the backend's fault cut: whenever that comes, it hits the window."""
# What Redis forgets may reach back to any earlier effect.
UNBOUNDED = frozenset({"cut_redis_log", "flush_redis"})
MOST_HISTORIES, MOST_PROBLEMS = 2, 20


def check_bound(trial: Trial, first: int, since: float) -> None:
    """Notes a problem if more was repeated than faults can explain. `first`: the trial's first entry of the trace."""
    arena, tally = trial.arena, trial.judged.tally
    faults = [each for each in arena.trace[first:] if each.fault and each.fault not in INNOCENT]
    if arena.keyed or any(each.fault in UNBOUNDED for each in faults):
        return
    times = [each.at for each in faults]
    again, hit = tally.effects_doubled_unkeyed, _calls_hit(trial, since, "/execute-file/", times)
    trial.check(again <= hit, f"{again} effects were repeated, but only {hit} calls were under way during a fault")
    again = tally.notifications_doubled
    hit = _ends_hit(trial, times) + _calls_hit(trial, since, "/buffer/enqueue/", ())
    trial.check(again <= hit, f"{again} notifications were repeated, but only {hit} were under way during a fault")


def _calls_hit(trial: Trial, since: float, path: str, faults: Sequence[float]) -> int:
    """How many calls were cut, or were under way, or nearly, when something was done to the fleet."""
    calls = trial.arena.requests(since=since, path=path)
    return sum(each.status == CUT or _near(faults, each.at, each.at + each.seconds) for each in calls)


def _ends_hit(trial: Trial, faults: Sequence[float]) -> int:
    """How many subscribers were being notified of an end when something was done to the fleet."""
    hit = 0
    for sent in trial.sent:
        at_times = [each.at for each in trial.arena.effects(sent) if "notifications." in each.operation]
        hit += sent.subscribers if at_times and _near(faults, min(at_times), max(at_times)) else 0
    return hit


def _near(faults: Sequence[float], begin: float, end: float) -> bool:
    return any(begin - NEAR <= at <= end + NEAR for at in faults)


def explanation(trial: Trial, first: int) -> Iterator[str]:
    """Seed, problems, what was done from the trace's entry `first` on, and the history of the executions at fault."""
    yield f"  seed {trial.seed}, backend {trial.mode}"
    problems = trial.judged.problems
    yield from (f"  problem: {each.text} [{each.execution_id or '-'}]" for each in problems[:MOST_PROBLEMS])
    entries = trial.arena.trace[first:]
    start = entries[0].at if entries else 0.0
    yield "  trace:"
    yield from (f"    {each.at - start:8.3f} s  {each.fault or '-':24} {each.text}" for each in entries)
    guilty = {each.execution_id for each in problems}
    for sent in [each for each in trial.sent if each.execution_id in guilty][:MOST_HISTORIES]:
        yield f"  history of {sent.execution_id}:"
        yield from (_effect(each, start) for each in trial.arena.effects(sent))


def _effect(effect: Effect, start: float) -> str:
    detail = {name: value for name, value in effect.detail.items() if value is not None}
    file = (effect.file or "-").rpartition("/")[2]
    key = (effect.key or "-").replace(effect.execution_id or "-", "*")
    return f"    {effect.at - start:8.3f} s  {effect.operation:26} {file:>12} {key} {detail}"


def recovery_times(trial: Trial, first: int) -> Iterator[float]:
    """For each execution that was under way during a fault: seconds from the last such fault to its end."""
    faults = [each.at for each in trial.arena.trace[first:] if each.fault]
    for sent in trial.sent:
        effects, end = trial.arena.effects(sent), trial.arena.end_of(sent)
        during = [at for at in faults if end and effects[0].at <= at <= end]
        if end and during:
            yield round(end - max(during), 3)
