"""Runs the ledger's Lua steps. A step is safe to repeat, so one whose answer was lost is tried again.

While Redis stays away the caller gets LedgerUnavailable and the run waits where it is.
"""

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from redis import Redis

from unstract_worker_core.failpoints import hit
from unstract_worker_core.redis import Observer, call_redis

STEP_NAMES = (
    "accept", "arm", "await_answer", "claim_batch", "claim_run", "clear_recheck", "complete_batch", "decide_due",
    "finish", "intend_request", "journal", "note_executed", "note_published", "overdue", "put_batches", "record_answer",
    "record_file", "release_batch", "release_run", "renew_batch", "renew_run", "start_file", "stop", "withdraw_request",
)  # fmt: skip


class LedgerStore:
    """Named Lua steps on one Redis. `observe` gets each attempt's step and outcome, for metrics."""

    def __init__(self, redis: Redis, observe: Observer = lambda step, outcome: None) -> None:
        self.redis = redis
        self._observe = observe
        folder = files("unstract_worker_core.ledger.scripts")
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
