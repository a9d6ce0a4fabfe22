"""Any sequence of steps, by any number of workers that crash, pause and come back: a model says what must follow.

Hypothesis plays orchestrators, file workers, callbacks and sweepers on two runs at once. Doorbells are lost and
doubled; every claim ever made is kept and used again later, which is what paused workers do. Time passes only where
a rule ends a lease. After each step the ledger must hold what the model holds, and every invariant of the design.
"""

import json
from collections.abc import Callable
from typing import Any

from attrs import Factory, define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger import BatchClaim, OutcomeKind, RunClaim, RunState
from unstract_worker_core.statuses import RunKind

RUNS = {"run-a": RunKind.ETL, "run-b": RunKind.API}
ORDER = list(RunState)
SIZES = ((), (1,), (2,), (1, 1), (2, 1))

runs = st.sampled_from(sorted(RUNS))
picks = st.integers(min_value=0, max_value=4)  # 0 is the newest: stale claims matter, fresh ones more


@define
class Lease:
    """Who holds something, in the model."""

    owner: str = ""
    live: bool = False
    fence: int = 0
    file: int = 0

    def held_by(self, token: str) -> bool:
        return bool(self.owner) and self.owner == token

    def take(self, token: str) -> None:
        self.owner, self.live, self.fence = token, True, self.fence + 1

    def let_go(self) -> None:
        self.owner, self.live, self.file = "", False, 0


@define
class Run:
    """What the ledger should hold of a run."""

    state: RunState | None = None
    epoch: int = 0
    attempts: int = 0
    stop: bool = False
    lease: Lease = Factory(Lease)
    files: list[list[int]] = Factory(list)
    leases: list[Lease] = Factory(list)
    rung: set[int] = Factory(set)
    outcomes: dict[int, int] = Factory(dict)
    results: dict[int, str] = Factory(dict)
    charges: dict[int, int] = Factory(dict)
    journal: dict[str, str] = Factory(dict)


class LedgerMachine(RuleBasedStateMachine):
    make_driver: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.driver = type(self).make_driver()
        self.runs = {run: Run() for run in RUNS}
        self.run_claims: list[RunClaim] = []
        self.batch_claims: list[BatchClaim] = []
        self.doorbells: list[tuple[str, int]] = []
        self.seen: dict[str, tuple[int, int]] = {}
        self.fences: dict[tuple[str, int], int] = {}

    @initialize(stages=st.tuples(*[st.integers(min_value=0, max_value=4) for _ in RUNS]))
    def begin(self, stages: tuple[int, ...]) -> None:
        """Start somewhere on the way, so that the rest of the steps gets far."""
        for run, stage in zip(RUNS, stages, strict=True):
            steps = (
                lambda run=run: self.accept(run),
                lambda run=run: self.claim_run(run, RunState.ACCEPTED),
                lambda: self.arm(0, (2, 1)),
                lambda run=run: self._claim_batch(run, 0, 1),
            )
            for step in steps[:stage]:
                step()

    # Accepting and orchestrating.

    @rule(run=runs)
    def accept(self, run: str) -> None:
        model = self.runs[run]
        fresh = self.driver.accept(run, kind=RUNS[run]).fresh
        assert fresh == (model.state is None)
        model.state = model.state or RunState.ACCEPTED

    @rule(run=runs, state=st.sampled_from([RunState.ACCEPTED, RunState.READY]))
    def claim_run(self, run: str, state: RunState) -> None:
        model, token = self.runs[run], self.driver.token()
        claim = self.driver.ledger.runs.claim(run, token, state=state)
        if model.state is not state or (model.lease.owner and model.lease.live):
            assert claim is None
            return
        model.attempts += bool(model.lease.owner)
        model.lease.take(token)
        assert (claim.fence, claim.attempts, claim.stop) == (model.lease.fence, model.attempts, model.stop)
        assert claim.journal == model.journal
        self.run_claims.append(claim)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, charge=st.booleans())
    def release_run(self, pick: int, charge: bool) -> None:
        claim, model, held = self._run_claim(pick)
        self.driver.ledger.runs.release(claim, charge=charge)
        if held:
            model.lease.let_go()
            model.attempts += charge

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks)
    def renew_run(self, pick: int) -> None:
        claim, model, held = self._run_claim(pick)
        assert self.driver.ledger.runs.renew(claim) == held
        model.lease.live |= held

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, value=st.sampled_from("xyz"))
    def note(self, pick: int, value: str) -> None:
        claim, model, held = self._run_claim(pick)
        stands = self._unless_lost(lambda: self.driver.ledger.runs.note(claim, "row", value))
        assert stands == (model.journal.setdefault("row", value) if held else None)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, count=st.integers(min_value=0, max_value=3))
    def crash_before_arming(self, pick: int, count: int) -> None:
        claim, _, _ = self._run_claim(pick)
        records = [part for index in range(count) for part in (index, "[]")]
        self.driver.ledger.runs._steps.run("put_batches", claim.run_id, claim.token, claim.epoch + 1, *records)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, sizes=st.sampled_from(SIZES))
    def arm(self, pick: int, sizes: tuple[int, ...]) -> None:
        claim, model, held = self._run_claim(pick)
        armed = self._unless_lost(lambda: self.driver.arm(claim, sizes, RUNS[claim.run_id]))
        if model.state is RunState.ACCEPTED and held:
            numbers = iter(range(1, sum(sizes) + 1))
            model.state, model.epoch, model.attempts = RunState.ARMED if sizes else RunState.READY, 1, 0
            model.files = [[next(numbers) for _ in range(size)] for size in sizes]
            model.leases = [Lease() for _ in sizes]
            model.rung = set(range(len(sizes)))
            model.lease.let_go()
            self.doorbells += [(claim.run_id, batch) for batch in model.rung]
        elif not model.epoch:
            assert armed is None
            return
        assert (armed.epoch, armed.state) == (model.epoch, model.state)

    # File workers.

    @rule(run=runs, batch=st.integers(min_value=0, max_value=2), epoch=st.sampled_from([1, 1, 1, 2]))
    def stray_doorbell(self, run: str, batch: int, epoch: int) -> None:
        self._claim_batch(run, batch, epoch)

    @precondition(lambda self: self.doorbells)
    @rule(pick=picks, duplicate=st.booleans())
    def deliver(self, pick: int, duplicate: bool) -> None:
        doorbell = self.doorbells[pick % len(self.doorbells)]
        if not duplicate:
            self.doorbells.remove(doorbell)
        self._claim_batch(*doorbell, 1)

    @precondition(lambda self: self.doorbells)
    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        self.doorbells.pop(pick % len(self.doorbells))

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks)
    def renew_batch(self, pick: int) -> None:
        claim, _, lease = self._batch_claim(pick)
        assert self.driver.ledger.batches.renew(claim) == (lease is not None)
        if lease is not None:
            lease.live = True

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def start_file(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        stop = self._unless_lost(lambda: self.driver.ledger.batches.start_file(claim, number))
        assert stop == (None if lease is None else model.stop)
        if lease is not None:
            lease.file = number
            self._wrote(claim)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, which=picks)
    def record(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        error = f"by {claim.token}"
        done = self._unless_lost(lambda: self.driver.record(claim, number, OutcomeKind.ERROR, error) or "ok")
        known = model.state is not RunState.DONE and number in model.results
        assert (done == "ok") == (lease is not None or known)
        if lease is not None:
            model.results.setdefault(number, error)
            lease.file = 0
            self._wrote(claim)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks)
    def complete(self, pick: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        complete = all(number in model.results for number in model.files[claim.batch])
        try:
            state = self.driver.ledger.batches.complete(claim)
        except LeaseLost:
            assert lease is None and claim.batch not in model.outcomes
            return
        except LedgerError:
            assert lease is not None and not complete
            return
        if lease is not None:
            assert complete
            model.outcomes[claim.batch] = claim.fence
            model.rung.discard(claim.batch)
            lease.let_go()
            self._wrote(claim)
            if len(model.outcomes) == len(model.files):
                model.state = RunState.READY
        assert state is model.state

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, charge=st.booleans())
    def release_batch(self, pick: int, charge: bool) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[0].number if charge else 0
        self.driver.ledger.batches.release(claim, charge_file=number)
        if lease is not None:
            lease.let_go()
            if number:
                model.charges[number] = model.charges.get(number, 0) + 1

    # Time, the sweeper, the end.

    @rule(run=runs)
    def lapse_run(self, run: str) -> None:
        self.runs[run].lease.live = False
        self.driver.lapse_run(run)

    @rule(run=runs, batch=st.integers(min_value=0, max_value=1))
    def lapse_batch(self, run: str, batch: int) -> None:
        model = self.runs[run]
        if model.state is RunState.ARMED and batch < len(model.leases):
            model.leases[batch].live = False
            self.driver.lapse_batch(run, batch)

    @rule(run=runs)
    def stop(self, run: str) -> None:
        model = self.runs[run]
        self.driver.ledger.runs.request_stop(run)
        model.stop |= model.state not in (None, RunState.DONE)

    @rule(run=runs, waiting=st.integers(min_value=0, max_value=3))
    def sweep(self, run: str, waiting: int) -> None:
        model, kind = self.runs[run], RUNS[run]
        unclaimed = sum(len(other.rung) for name, other in self.runs.items() if RUNS[name] is kind)
        due = self.driver.redis.zscore("uw:due", run) is not None
        look = self.driver.look_when_due(run, waiting)
        if model.state is None:
            assert look.action == "drop"
        elif model.state is RunState.ARMED:
            idle = {index for index, lease in enumerate(model.leases) if not (lease.owner and lease.live)}
            lapsed = idle - model.rung - set(model.outcomes)
            lost = idle & model.rung - set(model.outcomes)
            again = sorted(lost)[: max(0, unclaimed - waiting)] if len(lapsed | lost) else []
            assert lapsed <= set(look.batches)
            assert len(set(look.batches) - lapsed) == len(again) and set(look.batches) <= lapsed | lost
            model.rung |= lapsed
            self.doorbells += [(run, batch) for batch in look.batches]
        elif model.state is RunState.DONE:
            assert look.action == ("recheck" if due else "later")
        else:
            wanted = "orchestrate" if model.state is RunState.ACCEPTED else "finalise"
            assert look.action == ("later" if model.lease.owner and model.lease.live else wanted)

    @rule(run=runs)
    def settle(self, run: str) -> None:
        self.driver.ledger.runs.settle(run)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        claim, model, held = self._run_claim(pick)
        finished = self.driver.finish(claim)
        assert finished == (model.state is RunState.DONE or (held and model.state is RunState.READY))
        if finished:
            model.state = RunState.DONE

    # Invariants of the design.

    @invariant()
    def the_ledger_holds_what_the_model_holds(self) -> None:
        for run, model in self.runs.items():
            meta = self.driver.meta(run)
            assert meta.get("state") == model.state
            if model.state in (None, RunState.DONE):
                continue
            assert (int(meta["epoch"]), int(meta["attempts"])) == (model.epoch, model.attempts)
            assert meta["owner"] == model.lease.owner
            found = {outcome.number: outcome.error for outcome in self.driver.ledger.runs.outcomes(run)}
            assert found == model.results
            assert {int(key): int(value) for key, value in self.driver.charges(run).items()} == model.charges

    @invariant()
    def state_and_epoch_only_grow(self) -> None:
        for run, model in self.runs.items():
            if model.state is not None:
                now = (ORDER.index(RunState(self.driver.meta(run)["state"])), model.epoch)
                assert now >= self.seen.get(run, (0, 0))
                self.seen[run] = now

    @invariant()
    def outcomes_are_a_subset_of_batches_and_ready_means_all_of_them(self) -> None:
        for run, model in self.runs.items():
            if model.state in (RunState.ARMED, RunState.READY):
                batches = set(self.driver.redis.hkeys(f"uw:{{{run}}}:batches:1"))
                outcomes = self.driver.redis.hgetall(f"uw:{{{run}}}:outcomes")
                assert set(outcomes) <= batches
                assert {int(batch): int(fence) for batch, fence in outcomes.items()} == model.outcomes
                assert (model.state is RunState.READY) == (set(outcomes) == batches)

    @invariant()
    def open_runs_are_due_and_never_expire_and_closed_ones_do(self) -> None:
        for run, model in self.runs.items():
            expiring = [self.driver.redis.ttl(key) >= 0 for key in self.driver.keys(run)]
            is_open = model.state not in (None, RunState.DONE)
            assert self.driver.redis.sismember("uw:open", run) == is_open
            assert (not any(expiring)) if is_open else all(expiring)
            assert not is_open or self.driver.redis.zscore("uw:due", run) is not None

    @invariant()
    def the_count_of_unclaimed_doorbells_never_drifts(self) -> None:
        for kind in RunKind:
            members = [run for run in RUNS if RUNS[run] is kind]
            unclaimed = self.driver.ledger.runs.unclaimed(kind)
            assert unclaimed == sum(self.driver.rung(run) for run in members)
            assert unclaimed == sum(len(self.runs[run].rung) for run in members)

    def teardown(self) -> None:
        """Whatever happened, fair workers and the sweeper now bring every accepted run to its end."""
        for run, model in self.runs.items():
            for _ in range(20):
                if model.state is None or self.driver.ledger.runs.state(run) is RunState.DONE:
                    break
                self.driver.lapse_run(run)
                for batch in range(len(model.files)):
                    self.driver.lapse_batch(run, batch)
                self._obey(run, self.driver.look_when_due(run))
            else:
                raise AssertionError(f"{run} does not end: {json.dumps(self.driver.meta(run))}")

    def _obey(self, run: str, look: Any) -> None:
        if look.action == "orchestrate":
            self.driver.arm(self.driver.claim(run), (1,), RUNS[run])
        for batch in look.batches:
            self.driver.work_off(self.driver.claim_batch(run, batch))
        if look.action == "finalise":
            claim = self.driver.claim(run, RunState.READY)
            assert len(list(self.driver.ledger.runs.outcomes(run))) == claim.context.total_files
            assert self.driver.finish(claim)

    # How the model answers.

    def _run_claim(self, pick: int) -> tuple[RunClaim, Run, bool]:
        claim = self.run_claims[-1 - pick % len(self.run_claims)]
        model = self.runs[claim.run_id]
        return claim, model, model.state is not RunState.DONE and model.lease.held_by(claim.token)

    def _batch_claim(self, pick: int) -> tuple[BatchClaim, Run, Lease | None]:
        claim = self.batch_claims[-1 - pick % len(self.batch_claims)]
        model = self.runs[claim.run_id]
        lease = model.leases[claim.batch]
        held = model.state is RunState.ARMED and lease.held_by(claim.token)
        return claim, model, lease if held else None

    def _claim_batch(self, run: str, batch: int, epoch: int) -> None:
        model, token = self.runs[run], self.driver.token()
        answer = self.driver.ask_batch(run, batch, token, epoch)
        if model.state is not RunState.ARMED or epoch != 1:
            assert answer.reason == "closed"
            return
        if batch in model.outcomes or batch >= len(model.files):
            assert answer.reason == ("done" if batch in model.outcomes else "unknown")
            return
        model.rung.discard(batch)
        lease = model.leases[batch]
        if lease.owner and lease.live:
            assert answer.reason == "busy"
            return
        if lease.owner and lease.file:
            model.charges[lease.file] = model.charges.get(lease.file, 0) + 1
        lease.take(token)
        lease.file = 0
        numbers = model.files[batch]
        assert (answer.fence, answer.stop) == (lease.fence, model.stop)
        assert [item.number for item in answer.files] == numbers
        assert answer.recorded == {number for number in numbers if number in model.results}
        assert answer.charges == {number: model.charges[number] for number in numbers if number in model.charges}
        self.batch_claims.append(answer)

    def _wrote(self, claim: BatchClaim) -> None:
        """The fence of each accepted write is at least all earlier ones."""
        key = (claim.run_id, claim.batch)
        assert claim.fence >= self.fences.get(key, 0)
        self.fences[key] = claim.fence

    @staticmethod
    def _unless_lost(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except LeaseLost:
            return None


def test_every_sequence_of_steps_keeps_the_invariants(new_driver: Callable[[], Any]) -> None:
    machine = type("Machine", (LedgerMachine,), {"make_driver": staticmethod(new_driver)})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=80,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
