"""Steps on a run as a whole: accept, claim, journal, arm, finish, decide what a due run needs."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from attrs import Factory, frozen

from unstract_worker_core import serialization
from unstract_worker_core.config import LedgerSettings
from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger.records import (
    FileItem,
    FileOutcome,
    FinalState,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.ledger.store import LedgerStore
from unstract_worker_core.statuses import RunKind

_CHUNK = 500
_LONGEST_RECORDS = 2**21


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
class Accepted:
    """State of the run after accepting; `fresh` is False for a duplicate."""

    state: RunState
    fresh: bool


@frozen
class Armed:
    """The epoch of the batches, and the state that arming led to."""

    epoch: int
    state: RunState


@frozen
class DueDecision:
    """What a due run needs. `action`: drop, later, orchestrate, ring, finalise or recheck; `stop`: it was stopped."""

    action: str
    task: RunTask | None = None
    kind: RunKind | None = None
    rings: int = 0
    epoch: int = 0
    batches: tuple[int, ...] = ()
    organization_id: str = ""
    final: FinalState | None = None
    stop: bool = False


class Runs:
    """The run-level steps. Times are given in seconds and kept in milliseconds of Redis's clock."""

    def __init__(self, store: LedgerStore, times: LedgerSettings) -> None:
        self._store = store
        self._lease_ms = int(times.lease_seconds * 1000)
        self._wait_ms = int(times.first_ring_wait * 1000)
        self._max_wait_ms = int(times.max_ring_wait * 1000)

    def accept(
        self,
        run_id: str,
        *,
        task: RunTask,
        kind: RunKind,
        organization_id: str,
        start: str,
        state: RunState = RunState.ACCEPTED,
    ) -> Accepted:
        """Write a start message into the ledger. A second message for the same run changes nothing.

        Args:
            start: the message as JSON.
            state: READY for a run that has nothing to start, such as a chord's callback.

        Returns:
            The run's state, and whether this message was the first.

        Raises:
            LedgerError: it was not written.
        """
        answer = self._store.run("accept", run_id, task, kind, organization_id, start, self._wait_ms, state)
        return Accepted(RunState(answer[0]), bool(answer[1]))

    def claim(self, run_id: str, token: str, *, state: RunState) -> RunClaim | None:
        """Lease the run if it is in `state` and no other owner holds it.

        Args:
            token: names the claim; the same token again gets the same lease.

        Returns:
            The claim; None where the run is busy, in another state, or not known.
        """
        asked_at = time.monotonic()
        answer = self._store.run("claim_run", run_id, token, state, self._lease_ms)
        if answer[0] != "leased":
            return None
        meta = _pairs(answer[2])
        context = answer[4]
        return RunClaim(
            run_id=run_id,
            token=token,
            fence=int(answer[1]),
            task=RunTask(meta["task"]),
            kind=RunKind(meta["kind"]),
            organization_id=meta["organization"],
            epoch=int(meta["epoch"]),
            batches=int(meta["n"]),
            attempts=int(meta["attempts"]),
            stop=meta.get("stop") == "1",
            last_error=meta.get("last_error", ""),
            start=answer[3] or "{}",
            context=serialization.decode(context, RunContext) if context else None,
            journal=_pairs(answer[5]),
            asked_at=asked_at,
        )

    def renew(self, claim: RunClaim) -> bool:
        """Extend the lease; False when it is no longer ours."""
        return bool(self._store.run("renew_run", claim.run_id, claim.token, self._lease_ms))

    def release(self, claim: RunClaim, *, delay_seconds: float = 0.0, charge: bool = False, reason: str = "") -> None:
        """Hand the run back; harmless where the lease is lost.

        Args:
            delay_seconds: until the run is due again.
            charge: counts it as a failed attempt.
            reason: becomes the run's last error, cut to 256 characters.
        """
        delay, cost = int(delay_seconds * 1000), int(charge)
        self._store.run("release_run", claim.run_id, claim.token, delay, cost, reason[:256])

    def journal(self, claim: RunClaim, entries: Mapping[str, str]) -> dict[str, str]:
        """Write down what was done. The first value of a field is kept.

        Returns:
            The values that are kept, by field.

        Raises:
            LeaseLost: another worker has the run.
        """
        kept: list[str] = []
        flat = [part for pair in entries.items() for part in pair]
        for start in range(0, len(flat), 2 * _CHUNK):
            answer = self._store.run("journal", claim.run_id, claim.token, *flat[start : start + 2 * _CHUNK])
            if answer[0] != "ok":
                raise LeaseLost(f"run {claim.run_id}: another worker has the lease")
            kept += answer[1:]
        return dict(zip(entries, kept, strict=True))

    def arm(self, claim: RunClaim, batches: Sequence[Sequence[FileItem]], context: RunContext) -> Armed:
        """Store the batches and move the run from ACCEPTED to ARMED, or to READY without batches. Safe to repeat.

        Returns:
            The epoch of these batches, and the run's state.

        Raises:
            LeaseLost: another worker has the run.
            LedgerError: batch records are missing; nothing was armed.
        """
        records = _batch_records(batches)
        alone = next(records) if len(batches) == 1 else ()  # such as an API call's one file: put by the step that arms
        for several in records:
            self._store.run("put_batches", claim.run_id, claim.token, claim.epoch + 1, *several)
        stored = serialization.encode(context)
        answer = self._store.run("arm", claim.run_id, claim.token, len(batches), stored, self._wait_ms, *alone)
        if answer[0] in ("armed", "already") and int(answer[1] or 0):
            return Armed(int(answer[1]), RunState(answer[2]))
        if answer[0] == "incomplete":
            raise LedgerError(f"run {claim.run_id}: batch records are missing; the run was not armed")
        raise LeaseLost(f"run {claim.run_id}: another worker has the lease; the run was not armed")

    def finish(
        self,
        claim: RunClaim,
        final: FinalState,
        *,
        recheck_seconds: float,
        tombstone_seconds: float,
        state: RunState = RunState.READY,
    ) -> bool:
        """Close the run: its payloads are deleted, a tombstone with `final` is kept.

        Args:
            recheck_seconds: until the run is due for its second read-back; 0: it has none.
            tombstone_seconds: how long the tombstone is kept.
            state: the state that the run must be in.

        Returns:
            False: the lease was lost, nothing was closed.
        """
        answer = self._store.run(
            "finish", claim.run_id, claim.token, state, serialization.encode(final),
            int(recheck_seconds * 1000), int(tombstone_seconds * 1000),
        )  # fmt: skip
        return bool(answer[0] != "lost")

    def files(self, run_id: str) -> Iterator[FileItem]:
        """All files of a run that is armed, batch by batch; none of another run."""
        redis, base = self._store.redis, f"uw:{{{run_id}}}:"
        epoch = self._store.attempt("files", lambda: redis.hget(f"{base}meta", "epoch"))
        key = f"{base}batches:{epoch}"
        for batch in self._store.attempt("files", lambda: redis.hkeys(key)) if epoch else ():
            raw = self._store.attempt("files", partial(redis.hget, key, batch))
            yield from (serialization.structure(each, FileItem) for each in serialization.loads(raw or "[]"))

    def outcomes(self, run_id: str) -> Iterator[FileOutcome]:
        """All recorded outcomes, by file number, read in chunks."""
        key = f"uw:{{{run_id}}}:results"
        redis = self._store.redis
        numbers = sorted(self._store.attempt("outcomes", lambda: redis.hkeys(key)), key=int)
        for start in range(0, len(numbers), _CHUNK):
            chunk = numbers[start : start + _CHUNK]
            for raw in self._store.attempt("outcomes", partial(redis.hmget, key, chunk)):
                if raw is not None:
                    yield serialization.decode(raw, FileOutcome)

    def final(self, run_id: str) -> FinalState | None:
        """What a finished run said last, or None while it is open or unknown."""
        raw = self._store.attempt("final", lambda: self._store.redis.hget(f"uw:{{{run_id}}}:meta", "final"))
        return serialization.decode(raw, FinalState) if raw else None

    def state(self, run_id: str) -> RunState | None:
        """The state of a run, or None when the ledger does not know it."""
        raw = self._store.attempt("state", lambda: self._store.redis.hget(f"uw:{{{run_id}}}:meta", "state"))
        return RunState(raw) if raw else None

    def request_stop(self, run_id: str) -> None:
        """No further file of the run starts; it will end STOPPED."""
        self._store.run("stop", run_id)

    def overdue(self, limit: int) -> tuple[str, ...]:
        """Ids of due runs, the longest due first."""
        return tuple(self._store.run("overdue", "", limit))

    def decide_due(
        self, run_id: str, *, waiting: Mapping[RunKind, int], recheck_seconds: float, limit: int = _CHUNK
    ) -> DueDecision:
        """Decide what a due run needs and mark it as asked for.

        Args:
            waiting: number of doorbells in the broker, by kind.
            recheck_seconds: when a finished run is due again if this recheck does not end.
            limit: most batches to ring for.
        """
        depths = [part for kind, count in waiting.items() for part in (kind, count)]
        recheck_ms = int(recheck_seconds * 1000)
        answer = self._store.run("decide_due", run_id, self._wait_ms, self._max_wait_ms, limit, recheck_ms, *depths)
        return _due_decision(answer)

    def clear_recheck(self, run_id: str) -> None:
        """The second read-back is done; the finished run is not due any more."""
        self._store.run("clear_recheck", run_id)

    def organizations(self) -> frozenset[str]:
        """Organizations that ever had a run here."""
        redis = self._store.redis
        return frozenset(self._store.attempt("organizations", lambda: redis.smembers("uw:organizations")))


def _batch_records(batches: Sequence[Sequence[FileItem]]) -> Iterator[list[int | str]]:
    """Index and JSON of batches, in chunks for one step each: 500 batches, or fewer if they have many files."""
    records, length = list[int | str](), 0
    for index, batch in enumerate(batches):
        text = serialization.dumps([serialization.unstructure(item) for item in batch])
        records += index, text
        length += len(text)
        if len(records) == 2 * _CHUNK or length >= _LONGEST_RECORDS:
            yield records
            records, length = [], 0
    if records:
        yield records


def _due_decision(answer: list[object]) -> DueDecision:
    action = str(answer[0])
    if action in ("dropped", "later"):
        return DueDecision("drop" if action == "dropped" else "later")
    task, kind = RunTask(str(answer[1])), RunKind(str(answer[2]))
    if action == "recheck":
        final = serialization.decode(str(answer[4]), FinalState)
        return DueDecision("recheck", task, kind, organization_id=str(answer[3]), final=final)
    if action == RunState.ARMED:
        batches = tuple(int(index) for index in answer[4])  # type: ignore[attr-defined]
        return DueDecision("ring", task, kind, epoch=int(str(answer[3])), batches=batches, stop=answer[5] == "1")
    name = "orchestrate" if action == RunState.ACCEPTED else "finalise"
    return DueDecision(name, task, kind, rings=int(str(answer[3])), stop=answer[4] == "1")


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
