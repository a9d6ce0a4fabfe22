"""Arming: all batches or none, once, in proportion to their number."""

import pytest

from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger import Ledger, RunState
from unstract_worker_core.statuses import RunKind

from .driver import Driver

RUN = "run-a"
OPEN_STATES = ("ACCEPTED", "orchestrating", "ARMED", "working", "READY", "finalising")


def test_done_of_a_run_that_was_never_armed_leaves_no_batches_of_the_epoch_to_come(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.ledger.runs._store.run("put_batches", RUN, claim.token, 1, 0, "[]")

    assert driver.finish(claim, state=RunState.ACCEPTED)

    assert driver.keys(RUN) == [f"uw:{{{RUN}}}:meta"]


def test_arming_again_gives_the_same_epoch_and_changes_nothing(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    first = driver.arm(claim, (2, 1))
    before = driver.exact(RUN)

    again = driver.arm(claim, (1, 1, 1))

    assert again == first
    assert (first.epoch, first.state) == (1, RunState.ARMED)
    assert driver.exact(RUN) == before


def test_the_files_of_an_armed_run_are_those_of_all_its_batches(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    files = driver.ledger.runs.files
    assert list(files(RUN)) == []

    driver.arm(claim, (2, 1))

    assert sorted(file.name for file in files(RUN)) == ["1.pdf", "2.pdf", "3.pdf"]
    assert list(files("another-run")) == []


def test_arming_nothing_makes_the_run_ready(driver: Driver) -> None:
    driver.accept(RUN)

    armed = driver.arm(driver.claim(RUN), ())

    assert armed.state is RunState.READY
    assert driver.claim(RUN, RunState.READY).context.execution_id == RUN
    assert list(driver.ledger.runs.outcomes(RUN)) == []


def test_a_run_with_a_missing_batch_record_is_not_armed(driver: Driver) -> None:
    def lose_one(step: str, _: str) -> None:
        if step == "put_batches":
            driver.redis.hdel(f"uw:{{{RUN}}}:batches:1", "1")

    driver.accept(RUN)
    claim = driver.claim(RUN)
    lossy = Ledger(driver.redis, driver.times, observe=lose_one)

    with pytest.raises(LedgerError, match="missing"):
        lossy.runs.arm(claim, [[], []], driver.context(RUN))
    assert driver.ledger.runs.state(RUN) is RunState.ACCEPTED


@pytest.mark.parametrize("sizes", [(1, 1), (1,), ()])
def test_batches_of_an_owner_that_died_before_arming_do_not_stay(driver: Driver, sizes: tuple[int, ...]) -> None:
    driver.accept(RUN)
    dead = driver.claim(RUN)
    driver.ledger.runs._store.run("put_batches", RUN, dead.token, 1, 0, "[]", 1, "[]", 2, "[]")
    driver.lapse_run(RUN)

    driver.arm(driver.claim(RUN), sizes)

    records = driver.redis.hgetall(f"uw:{{{RUN}}}:batches:1")
    assert sorted(records) == [str(index) for index in range(len(sizes))]
    assert "[]" not in records.values()


def test_a_stale_orchestrator_puts_no_batches_and_does_not_arm(driver: Driver) -> None:
    driver.accept(RUN)
    stale = driver.claim(RUN)
    driver.lapse_run(RUN)
    owner = driver.claim(RUN)

    with pytest.raises(LeaseLost):
        driver.arm(stale, (1, 1, 1))
    assert not driver.redis.exists(f"uw:{{{RUN}}}:batches:1")
    assert driver.arm(owner, (1,)).state is RunState.ARMED


def test_arming_a_run_that_was_closed_without_batches_is_a_lost_lease(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.finish(claim, state=RunState.ACCEPTED)

    with pytest.raises(LeaseLost):
        driver.arm(claim, (1,))


@pytest.mark.parametrize("count", [1, 499, 500, 501, 10_000])
def test_arming_takes_one_round_trip_per_500_batches_and_work_in_proportion(driver: Driver, count: int) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.redis.config_resetstat()

    driver.arm(claim, (1,) * count)

    calls = {name: stats["calls"] for name, stats in driver.redis.info("commandstats").items()}
    rounds = -(-count // 500) + 1 if count > 1 else 1  # the record of a single batch comes with the last step
    assert calls["cmdstat_evalsha"] <= rounds + min(rounds, 2)  # the scripts may have to be loaded first
    assert calls["cmdstat_hset"] <= 2 * count + 10
    assert calls["cmdstat_zadd"] <= count + 10
    assert driver.unclaimed(RunKind.ETL) == count
    assert len(driver.claim_batch(RUN, count - 1).files) == 1


def test_batches_of_many_files_are_stored_a_few_at_a_time(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.arm(claim, (1,))  # the scripts are loaded
    driver.redis.flushdb()
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.redis.config_resetstat()

    driver.arm(claim, (10_000,) * 6)

    assert driver.redis.info("commandstats")["cmdstat_evalsha"]["calls"] > 2
    assert [len(driver.claim_batch(RUN, batch).files) for batch in (0, 5)] == [10_000] * 2
