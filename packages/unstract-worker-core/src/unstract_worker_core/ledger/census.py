"""What the ledger holds as a whole, read for metrics: by one worker of the fleet, and of a bounded number of runs.

These are not steps: nothing but the role is written.
"""

from collections import Counter
from functools import partial
from typing import Any

from attrs import Factory, frozen
from redis import Redis

from unstract_worker_core.redis import call_redis

_MOST = 5000
_CHUNK = 500
_UNREAD = ("unread", "unread")


@frozen
class Census:
    """What is open. Times are seconds by Redis's clock.

    Attributes:
        runs: open runs by task and state; beyond 5,000 the rest is counted as ``unread``.
        idle: by task, time since the last step forward of the run that waits longest.
        due: how long the oldest item of the due index is due.
        unclaimed: batches rung and not claimed yet, by kind.
    """

    runs: dict[tuple[str, str], int] = Factory(dict)
    idle: dict[str, float] = Factory(dict)
    due: float = 0.0
    unclaimed: dict[str, int] = Factory(dict)
    dead_letters: int = 0


def take_role(redis: Redis, role: str, token: str, seconds: float) -> bool:
    """Whether this process holds a role that one worker of the fleet has, for `seconds` from before the call.

    Two may hold it for a moment where one was paused; that must do no harm. Raises LedgerError.
    """
    key, lasts = f"uw:role:{role}", int(seconds * 1000)

    def take() -> bool:
        if redis.set(key, token, nx=True, px=lasts):
            return True
        return redis.get(key) == token and bool(redis.pexpire(key, lasts))

    return call_redis(redis, "take_role", take)


def take_census(redis: Redis) -> Census:
    """Count what is open. Raises LedgerError."""
    return call_redis(redis, "census", partial(_census, redis))


def _census(redis: Redis) -> Census:
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.scard("uw:open")
        pipe.zrange("uw:due", 0, 0, withscores=True)
        pipe.hgetall("uw:unclaimed")
        pipe.llen("uw:dead_letters")
        clock, number, first, unclaimed, letters = pipe.execute()
    now = clock[0] + clock[1] / 1_000_000
    runs, since = _count_runs(redis)
    if (unread := number - sum(runs.values())) > 0:
        runs[_UNREAD] = unread
    return Census(
        runs=dict(runs),
        idle={task: max(0.0, now - at / 1000) for task, at in since.items()},
        due=max(0.0, now - first[0][1] / 1000) if first else 0.0,
        unclaimed={kind: int(waiting) for kind, waiting in unclaimed.items()},
        dead_letters=int(letters),
    )


def _count_runs(redis: Redis) -> tuple[Counter[tuple[str, str]], dict[str, float]]:
    """Open runs by task and state, and by task the least recent step forward (milliseconds)."""
    runs: Counter[tuple[str, str]] = Counter()
    since: dict[str, float] = {}
    cursor, looked = 0, 0
    while looked < _MOST:
        cursor, ids = _scanned(redis, cursor)
        with redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hmget(f"uw:{{{run_id}}}:meta", "task", "state", "progress")
            for task, state, progress in pipe.execute():
                if task and state:  # an entry may outlive its run for a moment
                    runs[task, state] += 1
                    since[task] = min(since.get(task, float("inf")), float(progress or 0))
        looked += len(ids)
        if cursor == 0:
            break
    return runs, since


def _scanned(redis: Redis, cursor: int) -> tuple[int, list[str]]:
    answer: Any = redis.sscan("uw:open", cursor, count=_CHUNK)
    return int(answer[0]), list(answer[1])
