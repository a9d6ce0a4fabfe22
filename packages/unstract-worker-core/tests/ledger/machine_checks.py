"""The invariants of the design, checked after each step, and that every run comes to its end."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from unstract_worker_core.ledger import RunState
from unstract_worker_core.statuses import RunKind

from .driver import Driver
from .machine_model import RUNS, Run

ORDER = list(RunState)


class CheckedMachine(RuleBasedStateMachine):
    """The model, the ledger beside it, and what must hold of both."""

    make_driver: Callable[[], Driver]

    def __init__(self) -> None:
        super().__init__()
        self.driver = type(self).make_driver()
        self.runs = {run: Run() for run in RUNS}
        self.seen: dict[str, tuple[int, int]] = {}

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
            unclaimed = self.driver.unclaimed(kind)
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
