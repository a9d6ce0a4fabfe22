"""Runs the ledger's Lua steps and turns Redis's errors into the ledger's.

A step is safe to repeat, so a timeout or a cut is simply tried again a few times; when Redis stays away the caller
gets LedgerUnavailable and the run waits where it is.
"""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import (
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError

from unstract_worker_core.errors import LedgerError, LedgerUnavailable
from unstract_worker_core.failpoints import hit
from unstract_worker_core.repeating import repeated
from unstract_worker_core.thread_connections import ThreadConnections

__all__ = ["STEP_NAMES", "Observer", "Steps", "translated"]

STEP_NAMES = (
    "accept", "arm", "claim_batch", "claim_run", "complete_batch", "finish", "journal", "look", "note_executed",
    "overdue", "put_batches", "record_file", "release_batch", "release_run", "renew_batch", "renew_run", "settle",
    "start_file", "stop",
)  # fmt: skip

# Refusals that pass by themselves. redis-py has classes for some codes, and then cuts the code off the text.
_PASSING = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError)
_PASSING_CODES = ("OOM", "READONLY", "LOADING", "MASTERDOWN", "NOREPLICAS", "MISCONF", "BUSY", "UNKILLABLE")

Observer = Callable[[str, str], None]


def translated(error: RedisError, step: str) -> LedgerError:
    """The ledger's error for a Redis error of this step; says what happened, never what was written."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        return LedgerUnavailable(f"{step}: Redis is unreachable ({type(error).__name__})")
    # In a MULTI redis-py puts the command, arguments and all, before what Redis said.
    word = str(error).rpartition(" caused error: ")[2].split(" ", 1)[0]
    if isinstance(error, _PASSING) or (isinstance(error, ResponseError) and word in _PASSING_CODES):
        return LedgerUnavailable(f"{step}: Redis refuses writes ({type(error).__name__} {word})")
    return LedgerError(f"{step}: Redis answered {type(error).__name__} {word}")


class Steps:
    """Named Lua steps on one Redis. `observe(step, outcome)` is told of each call, for metrics."""

    def __init__(self, redis: Redis, observe: Observer | None = None, attempts: int = 4) -> None:
        self.redis = redis
        self._connections = ThreadConnections(redis)
        self._observe = observe or (lambda step, outcome: None)
        self._attempts = attempts
        folder = files("unstract_worker_core.ledger.scripts")
        prelude = (folder / "prelude.lua").read_text()
        self._scripts = {
            name: redis.register_script(prelude + (folder / f"{name}.lua").read_text()) for name in STEP_NAMES
        }

    def run(self, step: str, run_id: str, *arguments: str | int) -> Any:
        """Run one step. Raises LedgerUnavailable when Redis stays away, LedgerError on anything else."""
        hit("ledger", step, "before")
        answer = self.attempt(step, lambda: self._connections.run(self._scripts[step], (run_id, *arguments)))
        hit("ledger", step, "after")
        return answer

    def attempt(self, step: str, call: Callable[[], Any]) -> Any:
        """Run any repeatable Redis call as a step."""
        return repeated(
            lambda: self._once(step, call),
            on=LedgerUnavailable,
            attempts=self._attempts,
            timeout=30.0,
            wait_initial=0.1,
            wait_max=2.0,
        )

    def _once(self, step: str, call: Callable[[], Any]) -> Any:
        try:
            answer = call()
        except RedisError as error:
            self._observe(step, "error")
            raise translated(error, step) from None
        self._observe(step, "ok")
        return answer
