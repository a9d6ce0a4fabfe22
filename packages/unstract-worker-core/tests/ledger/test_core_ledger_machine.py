"""Any sequence of steps, by any number of workers that crash, pause and come back: a model says what must follow.

Hypothesis plays orchestrators, file workers, callbacks and sweepers on two runs at once. Doorbells are lost and
doubled; every claim ever made is kept and used again later, which is what paused workers do. Time passes only where
a rule ends a lease. After each step the ledger must hold what the model holds, and every invariant of the design.
"""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger import OutcomeKind, RunState

from .driver import Driver
from .machine_model import RUNS
from .machine_requests import RequestRules
from .machine_runs import picks, runs


class LedgerMachine(RequestRules):
    @initialize(stages=st.tuples(*[st.integers(min_value=0, max_value=4) for _ in RUNS]))
    def begin(self, stages: tuple[int, ...]) -> None:
        """Start somewhere on the way, so that the rest of the steps gets far."""
        for run, stage in zip(RUNS, stages, strict=True):
            steps = (
                lambda run=run: self.accept(run),
                lambda run=run: self.claim_run(run, RunState.ACCEPTED),
                lambda: self.arm(0, (2, 1)),
                lambda run=run: self.claim_batch(run, 0, 1),
            )
            for step in steps[:stage]:
                step()

    # File workers.

    @rule(run=runs, batch=st.integers(min_value=0, max_value=2), epoch=st.sampled_from([1, 1, 1, 2]))
    def stray_doorbell(self, run: str, batch: int, epoch: int) -> None:
        self.claim_batch(run, batch, epoch)

    @precondition(lambda self: self.doorbells)
    @rule(pick=picks, duplicate=st.booleans())
    def deliver(self, pick: int, duplicate: bool) -> None:
        doorbell = self.doorbells[pick % len(self.doorbells)]
        if not duplicate:
            self.doorbells.remove(doorbell)
        self.claim_batch(*doorbell, 1)

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
    def record(self, pick: int, which: int) -> None:
        claim, model, lease = self._batch_claim(pick)
        number = claim.files[which % len(claim.files)].number
        error = f"by {claim.token}"
        done = self.unless_lost(lambda: self.driver.record(claim, number, OutcomeKind.ERROR, error) or "ok")
        known = model.state is not RunState.DONE and number in model.results
        assert (done == "ok") == (lease is not None or known)
        if lease is not None:
            model.results.setdefault(number, error)
            model.executed.discard(number)
            model.requests.pop(number, None)
            model.answers.pop(number, None)
            if lease.file == number:  # another file may have begun: it stays in flight
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
            assert lease is None
            assert claim.batch not in model.outcomes
            return
        except LedgerError:
            assert lease is not None
            assert not complete
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

    # What a crash leads to, in one rule, so that it happens often.

    @rule(run=runs, state=st.sampled_from([RunState.ACCEPTED, RunState.READY]))
    def take_over_run(self, run: str, state: RunState) -> None:
        self.lapse_run(run)
        self.claim_run(run, state)

    @rule(run=runs, batch=st.integers(min_value=0, max_value=1))
    def take_over_batch(self, run: str, batch: int) -> None:
        self.lapse_batch(run, batch)
        self.claim_batch(run, batch, 1)

    @precondition(lambda self: self.batch_claims)
    @rule(pick=picks, late=st.booleans())
    def work_off(self, pick: int, late: bool) -> None:
        claim, _, _ = self._batch_claim(pick)
        if late:
            self.lapse_batch(claim.run_id, claim.batch)
            self.sweep(claim.run_id, 0)
        for which in range(len(claim.files)):
            self.record(pick, which)
        self.complete(pick)

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
            again = sorted(lost) if model.stop else sorted(lost)[: max(0, unclaimed - waiting)]
            assert look.stop is model.stop
            assert lapsed <= set(look.batches)
            assert len(set(look.batches) - lapsed) == len(again)
            assert set(look.batches) <= lapsed | lost
            model.rung |= lapsed
            self.doorbells += [(run, batch) for batch in look.batches]
        elif model.state is RunState.DONE:
            assert look.action == ("recheck" if due else "later")
        else:
            wanted = "orchestrate" if model.state is RunState.ACCEPTED else "finalise"
            assert look.action == ("later" if model.lease.owner and model.lease.live else wanted)

    @rule(run=runs)
    def settle(self, run: str) -> None:
        self.driver.ledger.runs.clear_recheck(run)


def test_every_sequence_of_steps_keeps_the_invariants(new_driver: Callable[[], Driver]) -> None:
    machine = type("Machine", (LedgerMachine,), {"make_driver": staticmethod(new_driver)})

    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=(Phase.generate,),  # shrinking would take minutes of Redis; the sequence is printed as it is
            print_blob=True,
        ),
    )
