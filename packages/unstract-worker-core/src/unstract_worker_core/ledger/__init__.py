"""The run ledger: the truth about every open execution, in Redis, changed only by repeatable Lua steps.

Celery messages are doorbells; losing or repeating one costs nothing but time. See `Runs` and `Batches` for the
steps, `LeaseKeeper` for holding what was claimed, `Sweeper` for re-deriving what should be in flight.
"""

from typing import Protocol

from redis import Redis

from unstract_worker_core.ledger.batches import BatchClaim, Batches, BatchRefusal, PendingRequest
from unstract_worker_core.ledger.dead_letters import DeadLetter, DeadLetterStore
from unstract_worker_core.ledger.lease import Held, LeaseKeeper
from unstract_worker_core.ledger.records import (
    AnswerTicket,
    ExecutorAnswer,
    FileItem,
    FileOutcome,
    FinalState,
    OutcomeKind,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.ledger.requests import Intent, RecordedAnswer, Requests
from unstract_worker_core.ledger.runs import Accepted, Armed, DueDecision, RunClaim, Runs
from unstract_worker_core.ledger.store import LedgerStore
from unstract_worker_core.redis import Observer

__all__ = [
    "Accepted",
    "AnswerTicket",
    "Armed",
    "BatchClaim",
    "BatchRefusal",
    "Batches",
    "DeadLetter",
    "DeadLetterStore",
    "DueDecision",
    "ExecutorAnswer",
    "FileItem",
    "FileOutcome",
    "FinalState",
    "Held",
    "Intent",
    "LeaseKeeper",
    "Ledger",
    "LedgerTimes",
    "OutcomeKind",
    "PendingRequest",
    "RecordedAnswer",
    "Requests",
    "RunClaim",
    "RunContext",
    "RunState",
    "RunTask",
    "Runs",
]


class LedgerTimes(Protocol):
    """The settings that the ledger reads (core.config.LedgerSettings has them), all in seconds."""

    @property
    def lease_seconds(self) -> float:
        """How long a claim lasts without renewal."""
        ...

    @property
    def first_ring_wait(self) -> float:
        """Wait before a doorbell is rung again; doubled each time."""
        ...

    @property
    def max_ring_wait(self) -> float:
        """The longest such wait."""
        ...

    @property
    def dead_letter_limit(self) -> int:
        """How many dead letters are kept."""
        ...


class Ledger:
    """All steps on one Redis: `runs`, `batches`, `requests` and `dead_letters`."""

    def __init__(self, redis: Redis, times: LedgerTimes, observe: Observer = lambda step, outcome: None) -> None:
        store = LedgerStore(redis, observe)
        self.redis = redis
        self.lease_seconds = times.lease_seconds
        self.runs = Runs(
            store,
            lease_seconds=times.lease_seconds,
            ring_wait=times.first_ring_wait,
            max_ring_wait=times.max_ring_wait,
        )
        self.batches = Batches(store, lease_seconds=times.lease_seconds, ring_wait=times.first_ring_wait)
        self.requests = Requests(store, ring_wait=times.first_ring_wait)
        self.dead_letters = DeadLetterStore(redis, limit=times.dead_letter_limit)
