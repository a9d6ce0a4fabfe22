"""What a step costs, in commands of Redis: the same however large the run and however many runs are open."""

from collections import Counter
from collections.abc import Callable

import pytest

from unstract_worker_core.ledger.sweeper import Sweeper

from .driver import Driver
from .recorder import Recorder

RUN = "run-a"


def commands(driver: Driver, action: Callable[[], object]) -> int:
    """How many commands Redis carried out for it, those of scripts included."""

    def so_far() -> int:
        return sum(each["calls"] for each in driver.redis.info("commandstats").values())

    before = so_far()
    action()
    return so_far() - before


def work_off(driver: Driver, batch: int) -> None:
    claim = driver.claim_batch(RUN, batch)
    driver.ledger.batches.renew(claim)
    driver.work_off(claim)


@pytest.mark.parametrize("open_runs", [3, 300])
def test_a_sweep_looks_at_no_healthy_run(driver: Driver, open_runs: int) -> None:
    recorder = Recorder()
    sweeper = Sweeper(driver.ledger.runs, recorder, recorder, interval=3600.0, recheck_seconds=60.0)
    driver.armed(RUN)  # every script is loaded
    for number in range(open_runs):
        driver.armed(f"run-{number}", (1,))
        driver.claim_batch(f"run-{number}", 0)
    swept: list[Counter[str]] = []
    first = commands(driver, lambda: swept.append(sweeper.tick()))
    second = commands(driver, lambda: swept.append(sweeper.tick()))

    assert swept == [Counter()] * 2
    assert max(first, second) <= 8


def test_a_batch_costs_the_same_in_a_small_run_and_in_a_large_one(driver: Driver) -> None:
    driver.armed("another", (1,))
    counts = []
    for size in (4, 2000):
        driver.redis.flushdb()
        driver.armed(RUN, (1,) * size)
        work_off(driver, 0)  # every script is loaded
        counts.append(commands(driver, lambda: work_off(driver, 1)))

    assert counts[0] == counts[1]


def test_outcomes_that_are_recorded_together_cost_one_round_trip(driver: Driver) -> None:
    driver.armed(RUN, (10,))
    claim = driver.claim_batch(RUN, 0)
    calls = []
    steps = driver.ledger.batches._store
    observed, steps._observe = steps._observe, lambda step, outcome: calls.append(step)
    driver.ledger.batches.record_all(claim, {item.number: "{}" for item in claim.files})
    steps._observe = observed

    assert calls == ["record_file"]
    assert driver.redis.hlen(f"uw:{{{RUN}}}:results") == 10
