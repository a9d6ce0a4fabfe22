"""The run ledger: the truth about every open execution, in Redis, changed only by repeatable Lua steps.

Celery messages are doorbells; losing or repeating one costs nothing but time. See `Runs` and `Batches` for the
steps, `LeaseKeeper` for holding what was claimed, `Sweeper` for re-deriving what should be in flight.
"""

from redis import Redis

from unstract_worker_core.config import LedgerSettings
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


class Ledger:
    """All steps on one Redis: `runs`, `batches`, `requests` and `dead_letters`."""

    def __init__(self, redis: Redis, times: LedgerSettings, observe: Observer = lambda step, outcome: None) -> None:
        store = LedgerStore(redis, observe)
        self.redis = redis
        self.runs = Runs(store, times)
        self.batches = Batches(store, times)
        self.requests = Requests(store, ring_wait=times.first_ring_wait)
        self.dead_letters = DeadLetterStore(redis, limit=times.dead_letter_limit)
