"""How often a backend that ignores keys may show a repeat: only where a fault hit the window between effect and record."""

from collections.abc import Sequence

from unstract_devstack.faults.registry import Trial
from unstract_devstack.faults.schedule import Kind
from unstract_devstack.platform_client import Request

NEAR = 1.0
"""Seconds around a fault: the record of an effect, and the note before it, are that close."""
# Messages that are lost, repeated or late explain no repeat, nor do stale statuses and stops.
INNOCENT = frozenset(
    {
        Kind.DROP_DOORBELLS, Kind.DROP_UNACKED, Kind.DUPLICATE, Kind.LATE,
        "lost_callback", "stale_status", "user_stop", "stranded", "clock_jump", "later_release", "unknown_schema",
        "terminate", "back_pressure", "idle_connections_closed",
    }
)  # fmt: skip
CUT = 0
"""The status of a request whose connection the backend's fault cut: whenever that comes, it hits the window."""
# What Redis forgets may reach back to any earlier effect.
UNBOUNDED = frozenset({Kind.CUT_REDIS_LOG, Kind.FLUSH_REDIS})


def check_bound(trial: Trial, first: int, since: float) -> None:
    """Notes a problem if more was repeated than faults can explain. `first`: the trial's first entry of the trace."""
    arena, tally = trial.arena, trial.judged.tally
    faults = [each for each in arena.trace.entries[first:] if each.fault and each.fault not in INNOCENT]
    if arena.keyed or any(each.fault in UNBOUNDED for each in faults):
        return
    times = [each.at for each in faults]
    requests = arena.history.requests(since=since)
    again, hit = tally.effects_doubled_unkeyed, _calls_hit(requests, "/execute-file/", times)
    trial.check(again <= hit, f"{again} effects were repeated, but only {hit} calls were under way during a fault")
    again = tally.notifications_doubled
    hit = _ends_hit(trial, times) + _calls_hit(requests, "/buffer/enqueue/", ())
    trial.check(again <= hit, f"{again} notifications were repeated, but only {hit} were under way during a fault")


def _calls_hit(requests: Sequence[Request], path: str, faults: Sequence[float]) -> int:
    """How many calls were cut, or were under way, or nearly, when something was done to the fleet."""
    calls = [each for each in requests if path in each.path]
    return sum(each.status == CUT or _near(faults, each.at, each.at + each.seconds) for each in calls)


def _ends_hit(trial: Trial, faults: Sequence[float]) -> int:
    """How many subscribers were being notified of an end when something was done to the fleet."""
    hit = 0
    for sent in trial.sent:
        at_times = [each.at for each in trial.arena.history.of(sent.execution_id) if "notifications." in each.operation]
        hit += sent.subscribers if at_times and _near(faults, min(at_times), max(at_times)) else 0
    return hit


def _near(faults: Sequence[float], begin: float, end: float) -> bool:
    return any(begin - NEAR <= at <= end + NEAR for at in faults)
