"""The ledger's Redis: its Lua steps, and what it holds as a whole.

A step is safe to repeat, so one whose answer was lost is tried again. While Redis stays away the caller gets
LedgerUnavailable and the run waits where it is. The census is no step: one worker of the fleet reads it for metrics, of
a bounded number of runs.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from itertools import islice
from typing import Any

from attrs import Factory, frozen
from redis import Redis

from unstract_worker_core.failpoints import hit
from unstract_worker_core.redis import Observer, call_redis

STEP_NAMES = (
    "accept", "arm", "await_answer", "claim_batch", "claim_run", "clear_recheck", "complete_batch", "decide_due",
    "finish", "intend_request", "journal", "note_executed", "note_published", "overdue", "put_batches", "record_answer",
    "record_file", "release_batch", "release_run", "renew_batch", "renew_run", "start_file", "stop", "withdraw_request",
)  # fmt: skip
_MOST = 5000
_CHUNK = 500
_UNREAD = ("unread", "unread")


class LedgerStore:
    """Named Lua steps on one Redis. `observe` gets each attempt's step and outcome, for metrics."""

    def __init__(self, redis: Redis, observe: Observer = lambda step, outcome: None) -> None:
        self.redis = redis
        self._observe = observe
        folder = files("unstract_worker_core.ledger") / "scripts"
        prelude = (folder / "prelude.lua").read_text()
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in STEP_NAMES
        }

    def run(self, step: str, run_id: str, *arguments: str | int) -> Any:
        """Run one step. Raises LedgerUnavailable when Redis stays away, LedgerError on anything else."""
        hit("ledger", step, "before")
        answer = self.attempt(step, partial(self._scripts[step], args=(run_id, *arguments)))
        hit("ledger", step, "after")
        return answer

    def attempt(self, step: str, call: Callable[[], Any]) -> Any:
        """Run any repeatable call as a step."""
        return call_redis(self.redis, step, call, observe=self._observe)


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
    """Take, or keep, a role that one worker of the fleet has for `seconds`; returns whether this process has it.

    After a pause two workers may have it for a moment, so that must be harmless. Raises LedgerError.
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
    ids = islice(redis.sscan_iter("uw:open", count=_CHUNK), _MOST)
    while chunk := tuple(islice(ids, _CHUNK)):
        with redis.pipeline(transaction=False) as pipe:
            for run_id in chunk:
                pipe.hmget(f"uw:{{{run_id}}}:meta", "task", "state", "progress")
            for task, state, progress in pipe.execute():
                if task and state:  # an entry may outlive its run for a moment
                    runs[task, state] += 1
                    since[task] = min(since.get(task, float("inf")), float(progress or 0))
    return runs, since
