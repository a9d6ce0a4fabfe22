"""What a claim gives: the right to work on a run or on a batch until its lease ends."""

import math
import time
from typing import Any

from attrs import Factory, frozen

from unstract_worker_core.ledger.records import ExecutorAnswer, FileItem, RunContext, RunTask
from unstract_worker_core.statuses import RunKind

__all__ = ["BatchClaim", "BatchRefusal", "PendingRequest", "RunClaim"]


@frozen
class RunClaim:
    """A leased run, for orchestrating (ACCEPTED) or finalising (READY).

    `attempts` counts the claims before this one that failed or lapsed. `start` is the accepted message as JSON,
    `context` what arming stored (None before), `journal` what was already done. Once there is a context, `start` is
    empty and the journal comes without the chosen files, their rows and released marks. `asked_at`: when the claim
    was sent, by the local monotonic clock; the lease is no older.
    """

    run_id: str
    token: str
    fence: int
    task: RunTask
    kind: RunKind
    organization_id: str
    epoch: int
    batches: int
    attempts: int
    stop: bool
    last_error: str
    start: str
    context: RunContext | None
    journal: dict[str, str] = Factory(dict)
    asked_at: float = Factory(time.monotonic)


@frozen
class PendingRequest:
    """A request to an executor that answers later, by Redis's clock when the batch was claimed.

    `age_seconds`: since it was sent (intended, where the sending is not known). `seconds_left`: how long an answer is
    still awaited; not above 0: it may be sent again.
    """

    published: bool
    age_seconds: float
    seconds_left: float


@frozen
class BatchClaim:
    """A leased batch. `files` are those of the batch, `recorded` the numbers that have their outcome already.

    `charges` counts, by file number, how often a lease lapsed while that file was in flight; `executed` holds the
    executor's result (JSON) of files whose effect happened but whose outcome is not recorded yet. `age_seconds`:
    time since the batch was first claimed, `armed_seconds`: since the run was armed, by Redis's clock. `asked_at`: as
    in RunClaim. `requests` and `answers`, by file number, are those of executors that answer later.
    """

    run_id: str
    epoch: int
    batch: int
    token: str
    fence: int
    context: RunContext
    files: tuple[FileItem, ...]
    recorded: frozenset[int]
    charges: dict[int, int]
    executed: dict[int, Any]
    age_seconds: float
    stop: bool
    armed_seconds: float = math.inf
    asked_at: float = Factory(time.monotonic)
    requests: dict[int, PendingRequest] = Factory(dict)
    answers: dict[int, ExecutorAnswer] = Factory(dict)


@frozen
class BatchRefusal:
    """Why a batch was not claimed: ``closed``, ``done``, ``unknown`` or ``busy``; all are harmless."""

    reason: str
