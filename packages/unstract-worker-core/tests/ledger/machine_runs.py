"""Rules for orchestrators and callbacks: steps on a run."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import RunClaim, RunState

from .machine_checks import CheckedMachine
from .machine_model import RUNS, Lease, Run

SIZES = ((), (1,), (2,), (1, 1), (2, 1))

runs = st.sampled_from(sorted(RUNS))
picks = st.integers(min_value=0, max_value=4)  # 0 is the newest: stale claims matter, fresh ones more


class RunRules(CheckedMachine):
    """Every claim ever made is kept: using an old one is what a paused worker does."""

    def __init__(self) -> None:
        super().__init__()
        self.run_claims: list[RunClaim] = []
        self.doorbells: list[tuple[str, int]] = []

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
        kept = self.unless_lost(lambda: self.driver.ledger.runs.journal(claim, {"row": value})["row"])
        assert kept == (model.journal.setdefault("row", value) if held else None)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, count=st.integers(min_value=0, max_value=3))
    def crash_before_arming(self, pick: int, count: int) -> None:
        claim, _, _ = self._run_claim(pick)
        records = [part for index in range(count) for part in (index, "[]")]
        self.driver.ledger.runs._store.run("put_batches", claim.run_id, claim.token, claim.epoch + 1, *records)

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks, sizes=st.sampled_from(SIZES))
    def arm(self, pick: int, sizes: tuple[int, ...]) -> None:
        claim, model, held = self._run_claim(pick)
        armed = self.unless_lost(lambda: self.driver.arm(claim, sizes, RUNS[claim.run_id]))
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

    @precondition(lambda self: self.run_claims)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        claim, model, held = self._run_claim(pick)
        finished = self.driver.finish(claim)
        assert finished == (model.state is RunState.DONE or (held and model.state is RunState.READY))
        if finished:
            model.state = RunState.DONE

    def _run_claim(self, pick: int) -> tuple[RunClaim, Run, bool]:
        claim = self.run_claims[-1 - pick % len(self.run_claims)]
        model = self.runs[claim.run_id]
        return claim, model, model.state is not RunState.DONE and model.lease.held_by(claim.token)

    @staticmethod
    def unless_lost(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except LeaseLost:
            return None
