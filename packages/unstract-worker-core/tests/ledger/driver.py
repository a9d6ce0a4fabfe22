"""Drives the ledger through its steps, and looks at what they left in Redis.

Leases never run out by waiting here: a test that needs a lapsed lease sets its end into the past, in Redis.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import define, field, frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.ledger import (
    Accepted,
    AnswerTicket,
    Armed,
    BatchClaim,
    BatchRefusal,
    DueDecision,
    ExecutorAnswer,
    FileItem,
    FileOutcome,
    FinalState,
    Intent,
    Ledger,
    OutcomeKind,
    RecordedAnswer,
    RunClaim,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.statuses import ExecutionStatus, RunKind

# Fields whose value is a time: a repetition may renew them, so a dump says only whether there is one.
TIMES = ("at", "expires", "lease_ends", "progress", "accepted_at", "armed_at", "done_at", "ends", "first")


@frozen
class Times:
    lease_seconds: float = 60.0
    first_ring_wait: float = 30.0
    max_ring_wait: float = 600.0
    dead_letter_limit: int = 5


def batches_of(sizes: Sequence[int]) -> list[list[FileItem]]:
    """Batches of the given sizes; files are numbered from 1 over all of them."""
    numbers = itertools.count(1)
    return [
        [
            FileItem(number=number, name=f"{number}.pdf", path=f"in/{number}.pdf")
            for number in itertools.islice(numbers, size)
        ]
        for size in sizes
    ]


@define
class Driver:
    """The steps of workers, each of which may be repeated, left out or called by the wrong one."""

    redis: Redis
    ledger: Ledger
    times: Times = Times()
    _tokens: Iterator[int] = field(factory=lambda: itertools.count(1))

    def token(self) -> str:
        return f"worker:{next(self._tokens)}"

    def context(self, run: str, *, total: int = 0, kind: RunKind = RunKind.ETL) -> RunContext:
        return RunContext(
            execution_id=run, organization_id="org_1", workflow_id="workflow-1", kind=kind, total_files=total
        )

    def accept(
        self,
        run: str,
        *,
        task: RunTask = RunTask.EXECUTION,
        kind: RunKind = RunKind.ETL,
        start: str = "{}",
        state: RunState = RunState.ACCEPTED,
    ) -> Accepted:
        return self.ledger.runs.accept(run, task=task, kind=kind, organization_id="org_1", start=start, state=state)

    def claim(self, run: str, state: RunState = RunState.ACCEPTED, token: str | None = None) -> RunClaim:
        claim = self.ledger.runs.claim(run, token or self.token(), state=state)
        assert claim is not None
        return claim

    def arm(self, claim: RunClaim, sizes: Sequence[int], kind: RunKind = RunKind.ETL) -> Armed:
        return self.ledger.runs.arm(claim, batches_of(sizes), self.context(claim.run_id, total=sum(sizes), kind=kind))

    def armed(self, run: str, sizes: Sequence[int] = (1, 1), **accepted: Any) -> RunClaim:
        self.accept(run, **accepted)
        claim = self.claim(run)
        self.arm(claim, sizes, accepted.get("kind", RunKind.ETL))
        return claim

    def ask_batch(self, run: str, batch: int, token: str | None = None, epoch: int = 1) -> BatchClaim | BatchRefusal:
        return self.ledger.batches.claim(run, epoch, batch, token or self.token())

    def claim_batch(self, run: str, batch: int, token: str | None = None) -> BatchClaim:
        claim = self.ask_batch(run, batch, token)
        assert isinstance(claim, BatchClaim)
        return claim

    def record(
        self,
        claim: BatchClaim,
        number: int,
        kind: OutcomeKind = OutcomeKind.COMPLETED,
        error: str | None = None,
    ) -> None:
        self.record_outcome(claim, FileOutcome(number=number, name=f"{number}.pdf", kind=kind, error=error))

    def record_outcome(self, claim: BatchClaim, outcome: FileOutcome) -> None:
        self.ledger.batches.record_all(claim, {outcome.number: serialization.encode(outcome)})

    def unclaimed(self, kind: RunKind) -> int:
        return int(self.redis.hget("uw:unclaimed", kind) or 0)

    def intend(self, claim: BatchClaim, number: int, nonce: str, *, wait: float = 60.0) -> Intent:
        return self.ledger.requests.intend(claim, number, nonce, wait_seconds=wait, max_charges=3)

    def answer(self, run: str, number: int, value: Any = None, *, batch: int = 0, epoch: int = 1) -> RecordedAnswer:
        ticket = AnswerTicket(run_id=run, epoch=epoch, batch=batch, number=number)
        return self.ledger.requests.record(ticket, ExecutorAnswer({"text": "x"} if value is None else value))

    def work_off(self, claim: BatchClaim, kind: OutcomeKind = OutcomeKind.COMPLETED) -> RunState:
        """Everything that a batch still needs."""
        for item in claim.files:
            if item.number not in claim.recorded:
                self.ledger.batches.start_file(claim, item.number)
                self.record(claim, item.number, kind)
        return self.ledger.batches.complete(claim)

    def ready(self, run: str, sizes: Sequence[int] = (1, 1), **accepted: Any) -> None:
        self.armed(run, sizes, **accepted)
        for batch in range(len(sizes)):
            self.work_off(self.claim_batch(run, batch))

    def finish(self, claim: RunClaim, *, state: RunState = RunState.READY, recheck: float = 10.0) -> bool:
        final = FinalState(status=ExecutionStatus.COMPLETED, total_files=2, successful_files=2)
        return self.ledger.runs.finish(claim, final, recheck_seconds=recheck, tombstone_seconds=3600, state=state)

    def done(self, run: str, sizes: Sequence[int] = (1, 1), *, recheck: float = 10.0, **accepted: Any) -> None:
        self.ready(run, sizes, **accepted)
        self.finish(self.claim(run, RunState.READY), recheck=recheck)

    def look(self, run: str, waiting: int = 0, limit: int = 500) -> DueDecision:
        waits = dict.fromkeys(RunKind, waiting)
        return self.ledger.runs.decide_due(run, waiting=waits, recheck_seconds=10.0, limit=limit)

    def look_when_due(self, run: str, waiting: int = 0, limit: int = 500) -> DueDecision:
        self.make_due(run)
        return self.look(run, waiting, limit)

    # What only time would do.

    def lapse_run(self, run: str) -> None:
        if self.redis.hget(f"uw:{{{run}}}:meta", "owner"):
            self.redis.hset(f"uw:{{{run}}}:meta", "lease_ends", "1")
        self.make_due(run)

    def lapse_batch(self, run: str, batch: int) -> None:
        raw = self.redis.hget(f"uw:{{{run}}}:leases", str(batch))
        if raw is not None:
            lease = json.loads(raw) | {"ends": 1}
            self.redis.hset(f"uw:{{{run}}}:leases", str(batch), json.dumps(lease))
        if self.redis.zscore(f"uw:{{{run}}}:rings", str(batch)) is not None:
            self.redis.zadd(f"uw:{{{run}}}:rings", {str(batch): 1})
        self.redis.zadd("uw:due", {run: 1}, xx=True)

    def lapse_request(self, run: str, number: int) -> None:
        raw = self.redis.hget(f"uw:{{{run}}}:requests", str(number))
        assert raw is not None
        self.redis.hset(f"uw:{{{run}}}:requests", str(number), json.dumps(json.loads(raw) | {"expires": 1}))

    def make_due(self, run: str) -> None:
        """The run and whatever of it waits for its next ring is due; live leases stay alive."""
        rings = f"uw:{{{run}}}:rings"
        leases = self.redis.hgetall(f"uw:{{{run}}}:leases")
        live = {batch for batch, raw in leases.items() if json.loads(raw)["owner"] and json.loads(raw)["ends"] > 1}
        for batch in self.redis.zrange(rings, 0, -1):
            if batch not in live:
                self.redis.zadd(rings, {batch: 1})
        self.redis.zadd("uw:due", {run: 1}, xx=True)

    # What the steps left.

    def meta(self, run: str) -> dict[str, str]:
        return self.redis.hgetall(f"uw:{{{run}}}:meta")

    def keys(self, run: str) -> list[str]:
        return sorted(self.redis.scan_iter(f"uw:{{{run}}}:*"))

    def lease(self, run: str, batch: int) -> dict[str, Any]:
        return json.loads(self.redis.hget(f"uw:{{{run}}}:leases", str(batch)) or "{}")

    def charges(self, run: str) -> dict[str, str]:
        return self.redis.hgetall(f"uw:{{{run}}}:charges")

    def requests(self, run: str) -> dict[int, tuple[str, str]]:
        held = {int(key): json.loads(raw) for key, raw in self.redis.hgetall(f"uw:{{{run}}}:requests").items()}
        return {number: (request["state"], request["nonce"]) for number, request in held.items()}

    def answers(self, run: str) -> dict[int, Any]:
        held = self.redis.hgetall(f"uw:{{{run}}}:answers")
        return {int(key): serialization.decode(raw, ExecutorAnswer).value for key, raw in held.items()}

    def rung(self, run: str) -> int:
        return self.redis.hlen(f"uw:{{{run}}}:rung")

    def wait_of(self, run: str, member: str | None = None) -> float:
        """Seconds until the run (or one of its batches) is due, by Redis's clock."""
        seconds, micros = self.redis.time()
        score = self.redis.zscore("uw:due", run) if member is None else self.redis.zscore(f"uw:{{{run}}}:rings", member)
        return score / 1000 - (seconds + micros / 1e6)

    def exact(self, run: str) -> dict[str, Any]:
        """All that Redis holds of a run, times included."""
        held = {key: (self._value(key), self.redis.ttl(key) >= 0) for key in self.keys(run)}
        return held | {"due": self.redis.zscore("uw:due", run), "open": self.redis.sismember("uw:open", run)}

    def dump(self, run: str) -> dict[str, Any]:
        """All that Redis holds of a run and the shared counters, without the times that may be renewed."""
        held = {key: (self._timeless(key), self.redis.ttl(key) >= 0) for key in self.keys(run)}
        shared = {
            "due": self.redis.zscore("uw:due", run) is not None,
            "open": self.redis.sismember("uw:open", run),
            "unclaimed": self.redis.hgetall("uw:unclaimed"),
        }
        return held | shared

    def _value(self, key: str) -> Any:
        readers: dict[str, Callable[[], Any]] = {
            "hash": lambda: self.redis.hgetall(key),
            "string": lambda: self.redis.get(key),
            "zset": lambda: self.redis.zrange(key, 0, -1, withscores=True),
        }
        return readers[self.redis.type(key)]()

    def _timeless(self, key: str) -> Any:
        value = self._value(key)
        if isinstance(value, list):
            return [member for member, _ in value]
        if key.endswith(":leases"):
            value = {batch: json.dumps(_without_times(json.loads(raw)), sort_keys=True) for batch, raw in value.items()}
        return _without_times(value) if isinstance(value, dict) else value


def _without_times(value: dict[str, Any]) -> dict[str, Any]:
    return {name: (entry not in ("0", 0)) if name in TIMES else entry for name, entry in value.items()}
