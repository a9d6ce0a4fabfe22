"""Steps on one batch: claim, start a file, record its outcome, complete, hand back."""

import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from attrs import Factory, frozen

from unstract_worker_core import serialization
from unstract_worker_core.config import LedgerSettings
from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger.records import ExecutorAnswer, FileItem, RunContext, RunState
from unstract_worker_core.ledger.store import LedgerStore

_NONE: Mapping[int, str] = MappingProxyType({})


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
    in RunClaim. `requests` and `answers`, by file number, are those of executors that answer later. `last_error`: why
    a batch of the run was put off last.
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
    last_error: str = ""
    requests: dict[int, PendingRequest] = Factory(dict)
    answers: dict[int, ExecutorAnswer] = Factory(dict)


@frozen
class BatchRefusal:
    """Why a batch was not claimed: ``closed``, ``done``, ``unknown`` or ``busy``; all are harmless."""

    reason: str


class Batches:
    """The batch-level steps; every write carries the claim's token and is refused once the lease is not ours."""

    def __init__(self, store: LedgerStore, times: LedgerSettings) -> None:
        self._store = store
        self._lease_ms = int(times.lease_seconds * 1000)
        self._wait_ms = int(times.first_ring_wait * 1000)

    def claim(self, run_id: str, epoch: int, batch: int, token: str) -> BatchClaim | BatchRefusal:
        """Lease a batch.

        Args:
            token: names the claim; the same token again gets the same lease.

        Returns:
            The claim, or why there is none, which is harmless: the ledger rings again where needed.
        """
        asked_at = time.monotonic()
        answer = self._store.run("claim_batch", run_id, epoch, batch, token, self._lease_ms)
        if answer[0] != "leased":
            return BatchRefusal(answer[0])
        _, fence, files, context, age_ms, stop, progress, now_ms, armed_ms, last_error = answer
        return BatchClaim(
            run_id=run_id,
            epoch=epoch,
            batch=batch,
            token=token,
            fence=int(fence),
            context=serialization.decode(context, RunContext),
            files=tuple(serialization.structure(entry, FileItem) for entry in serialization.loads(files)),
            recorded=frozenset(int(number) for number, done, *_ in progress if done),
            charges={int(number): int(charges) for number, _, charges, *_ in progress if int(charges)},
            executed={int(number): serialization.loads(raw) for number, _, _, raw, *_ in progress if raw},
            requests={int(each[0]): read_request(each[4], float(now_ms)) for each in progress if each[4]},
            answers={int(each[0]): serialization.decode(each[5], ExecutorAnswer) for each in progress if each[5]},
            age_seconds=int(float(age_ms)) / 1000,
            stop=stop == "1",
            armed_seconds=float(armed_ms) / 1000,
            asked_at=asked_at,
            last_error=last_error,
        )

    def renew(self, claim: BatchClaim) -> bool:
        """Extend the lease; False when it is no longer ours."""
        return bool(self._write("renew_batch", claim, self._lease_ms))

    def start_file(self, claim: BatchClaim, number: int) -> bool:
        """Write down which file is in flight: it is charged if the lease lapses.

        Args:
            number: the file's number; 0: none is in flight.

        Returns:
            Whether the run was stopped.

        Raises:
            LeaseLost: another worker has the batch.
        """
        flag = self._write("start_file", claim, number)
        if flag == -1:
            raise _lost(claim)
        return bool(flag)

    def note_executed(self, claim: BatchClaim, number: int, result: Any) -> None:
        """Keep the executor's result (any JSON), so that what comes after it can be repeated. Raises LeaseLost."""
        if not self._write("note_executed", claim, number, serialization.dumps(result)):
            raise _lost(claim)

    def record_all(self, claim: BatchClaim, outcomes: Mapping[int, str]) -> None:
        """Record how files ended: their outcomes, encoded, by number; a file's first one wins. Raises LeaseLost."""
        pairs = [part for pair in outcomes.items() for part in pair]
        if not self._write("record_file", claim, *pairs):
            raise _lost(claim)

    def complete(self, claim: BatchClaim, outcomes: Mapping[int, str] = _NONE) -> RunState:
        """Record the last outcomes, as `record_all` does, and close the batch: one step.

        Returns:
            The run's state: READY when this was the last batch.

        Raises:
            LeaseLost: another worker has the batch.
            LedgerError: a file of the batch has no outcome.
        """
        pairs = [part for pair in outcomes.items() for part in pair]
        answer = self._write("complete_batch", claim, self._wait_ms, *pairs)
        if answer[0] in ("recorded", "already"):
            return RunState(answer[1])
        if answer[0] == "closed":
            return RunState.DONE
        if answer[0] == "incomplete":
            raise LedgerError(f"run {claim.run_id}: batch {claim.batch} has no outcome for file {answer[1]}")
        raise _lost(claim)

    def release(self, claim: BatchClaim, *, delay_seconds: float = 0.0, charge_file: int = 0, reason: str = "") -> None:
        """Hand the batch back.

        Args:
            delay_seconds: until it is rung for again.
            charge_file: number of the file whose outcome is unknown, which is charged; 0: none.
            reason: becomes the run's last error, for operators; empty: it stays as it is.
        """
        self._write("release_batch", claim, int(delay_seconds * 1000), charge_file, reason[:256])

    def _write(self, step: str, claim: BatchClaim, *arguments: str | int) -> Any:
        return self._store.run(step, claim.run_id, claim.epoch, claim.batch, claim.token, *arguments)


def _lost(claim: BatchClaim) -> LeaseLost:
    return LeaseLost(f"run {claim.run_id}: batch {claim.batch} belongs to another worker now")


def read_request(record: str, now_ms: float) -> PendingRequest:
    """A request from its record (JSON). `now_ms`: Redis's clock."""
    request = serialization.loads(record)
    return PendingRequest(
        published=request["state"] == "published",
        age_seconds=(now_ms - request["at"]) / 1000,
        seconds_left=(request["expires"] - now_ms) / 1000 if request["state"] != "given_up" else 0.0,
    )
