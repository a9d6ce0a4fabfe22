"""What is decided about a due run: a backlog is not a loss, waits double, no run is forgotten."""

import pytest

from unstract_worker_core.ledger import FinalState, RunState, RunTask
from unstract_worker_core.statuses import ExecutionStatus, RunKind

from .driver import Driver

RUN = "run-a"


def test_a_run_that_is_not_due_is_left_alone(driver: Driver) -> None:
    driver.accept(RUN)
    before = driver.exact(RUN)

    assert driver.ledger.runs.overdue(10) == ()
    assert driver.look(RUN).action == "later"
    assert driver.exact(RUN) == before


def test_an_entry_without_a_run_is_dropped(driver: Driver) -> None:
    driver.redis.zadd("uw:due", {"ghost": 1})
    driver.redis.sadd("uw:open", "ghost")

    assert driver.ledger.runs.overdue(10) == ("ghost",)
    assert driver.look("ghost").action == "drop"
    assert driver.ledger.runs.overdue(10) == ()
    assert not driver.redis.exists("uw:open")


def test_the_longest_due_come_first_and_no_more_than_the_limit(driver: Driver) -> None:
    for number, run in enumerate(("c", "a", "b"), start=1):
        driver.accept(run)
        driver.redis.zadd("uw:due", {run: number})

    assert driver.ledger.runs.overdue(2) == ("c", "a")


@pytest.mark.parametrize("state", [RunState.ACCEPTED, RunState.READY])
def test_a_run_with_a_live_lease_is_looked_at_when_the_lease_ends(driver: Driver, state: RunState) -> None:
    driver.accept(RUN, state=state)
    driver.claim(RUN, state)
    driver.make_due(RUN)

    assert driver.look(RUN).action == "later"
    assert 58 < driver.wait_of(RUN) <= 60


@pytest.mark.parametrize(("state", "action"), [(RunState.ACCEPTED, "orchestrate"), (RunState.READY, "finalise")])
def test_rings_are_counted_and_their_waits_double_up_to_the_longest(
    driver: Driver, state: RunState, action: str
) -> None:
    driver.accept(RUN, state=state, kind=RunKind.API)

    looks, waits = [], []
    for _ in range(6):
        looks.append(driver.look_when_due(RUN))
        waits.append(round(driver.wait_of(RUN)))

    assert {look.action for look in looks} == {action}
    assert {(look.task, look.kind) for look in looks} == {(RunTask.EXECUTION, RunKind.API)}
    assert [look.rings for look in looks] == [1, 2, 3, 4, 5, 6]
    assert waits == [60, 120, 240, 480, 600, 600]


def test_a_claim_starts_the_rings_anew(driver: Driver) -> None:
    driver.accept(RUN)
    for end in (driver.ledger.runs.release, lambda claim: driver.lapse_run(claim.run_id)):
        driver.look_when_due(RUN)
        end(driver.claim(RUN))

        assert driver.look_when_due(RUN).rings == 1


def test_a_renewed_run_is_looked_at_when_the_new_lease_ends(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    driver.make_due(RUN)

    driver.ledger.runs.renew(claim)

    assert driver.ledger.runs.overdue(10) == ()
    assert 58 < driver.wait_of(RUN) <= 60


def test_a_lost_doorbell_is_rung_again_and_a_waiting_one_is_not(driver: Driver) -> None:
    driver.armed(RUN, (1, 1, 1))

    assert driver.look_when_due(RUN, waiting=3).batches == ()
    assert driver.look_when_due(RUN, waiting=1).batches == (0, 1)
    assert driver.look_when_due(RUN, waiting=0).batches == (0, 1, 2)
    assert driver.unclaimed(RunKind.ETL) == 3


def test_a_backlog_of_other_runs_is_not_a_loss(driver: Driver) -> None:
    driver.armed("other", (1,) * 10)
    driver.armed(RUN, (1,))

    assert driver.look_when_due(RUN, waiting=11).batches == ()
    assert driver.look_when_due(RUN, waiting=10).batches == (0,)


def test_kinds_have_queues_of_their_own(driver: Driver) -> None:
    driver.armed(RUN, (1,), kind=RunKind.API)
    driver.make_due(RUN)

    look = driver.ledger.runs.decide_due(RUN, waiting={RunKind.ETL: 0, RunKind.API: 1}, recheck_seconds=1)

    assert look.batches == ()
    assert driver.unclaimed(RunKind.API) == 1
    assert driver.unclaimed(RunKind.ETL) == 0


def test_without_a_count_of_the_queue_no_batch_is_rung_twice(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    driver.make_due(RUN)

    assert driver.ledger.runs.decide_due(RUN, waiting={}, recheck_seconds=1).batches == ()


def test_waits_of_a_batch_double_with_its_rings(driver: Driver) -> None:
    driver.armed(RUN, (1,))

    waits = []
    for _ in range(6):
        look = driver.look_when_due(RUN)
        assert (look.action, look.epoch, look.batches) == ("ring", 1, (0,))
        waits.append(round(driver.wait_of(RUN, "0")))

    assert waits == [60, 120, 240, 480, 600, 600]


def test_a_backlogged_batch_keeps_its_wait(driver: Driver) -> None:
    driver.armed(RUN, (1,))

    waits = []
    for _ in range(3):
        driver.look_when_due(RUN, waiting=1)
        waits.append(round(driver.wait_of(RUN, "0")))

    assert waits == [60, 60, 60]


def test_a_lapsed_batch_is_rung_whatever_waits_in_the_queue(driver: Driver) -> None:
    driver.armed(RUN, (1, 1))
    driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)

    look = driver.look(RUN, waiting=1000)

    assert look.batches == (0,)
    assert round(driver.wait_of(RUN, "0")) == 30
    assert driver.unclaimed(RunKind.ETL) == 2


def test_a_live_batch_is_not_rung(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.make_due(RUN)
    driver.ledger.batches.renew(claim)

    assert driver.look_when_due(RUN).batches == ()
    assert 58 < driver.wait_of(RUN) <= 60


def test_what_is_beyond_the_limit_is_still_due(driver: Driver) -> None:
    driver.armed(RUN, (1,) * 5)

    assert driver.look_when_due(RUN, limit=3).batches == (0, 1, 2)
    assert driver.ledger.runs.overdue(10) == (RUN,)
    assert driver.look(RUN, limit=3).batches == (3, 4)
    assert driver.ledger.runs.overdue(10) == ()


def test_two_sweepers_do_not_ring_twice(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    driver.make_due(RUN)

    assert [driver.look(RUN).action for _ in range(2)] == ["ring", "later"]


def test_a_batch_completed_after_it_was_rung_again_leaves_nothing_unclaimed(driver: Driver) -> None:
    driver.armed(RUN, (1, 1))
    claim = driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)
    assert driver.look(RUN).batches == (0,)
    assert driver.unclaimed(RunKind.ETL) == 2

    driver.work_off(claim)

    assert driver.unclaimed(RunKind.ETL) == 1
    driver.work_off(driver.claim_batch(RUN, 1))
    assert driver.unclaimed(RunKind.ETL) == 0


def test_a_doorbell_that_found_the_batch_busy_is_not_waited_for(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)
    driver.look(RUN)
    driver.ledger.batches.renew(claim)

    driver.ask_batch(RUN, 0)

    assert driver.unclaimed(RunKind.ETL) == 0


@pytest.mark.parametrize("stage", ["ACCEPTED", "ARMED", "READY"])
def test_a_chords_batch_is_left_to_its_own_message(driver: Driver, stage: str) -> None:
    steps = {"ACCEPTED": driver.accept, "ARMED": driver.armed, "READY": driver.ready}
    steps[stage](RUN, task=RunTask.CHORD_BATCH)

    assert driver.look_when_due(RUN).action == "later"
    assert 590 < driver.wait_of(RUN) <= 600


def test_a_finished_run_is_rechecked_until_it_is_settled(driver: Driver) -> None:
    driver.done(RUN, recheck=90)
    assert 88 < driver.wait_of(RUN) <= 90

    look = driver.look_when_due(RUN)

    assert (look.action, look.organization_id) == ("recheck", "org_1")
    assert look.final == FinalState(status=ExecutionStatus.COMPLETED, total_files=2, successful_files=2)
    assert 8 < driver.wait_of(RUN) <= 10
    driver.ledger.runs.clear_recheck(RUN)
    assert driver.redis.zscore("uw:due", RUN) is None


def test_a_finished_run_without_a_recheck_is_not_due(driver: Driver) -> None:
    driver.done(RUN, recheck=0)

    assert driver.redis.zscore("uw:due", RUN) is None


def test_settling_an_open_run_keeps_it_due(driver: Driver) -> None:
    driver.accept(RUN)

    driver.ledger.runs.clear_recheck(RUN)

    assert driver.redis.zscore("uw:due", RUN) is not None


def test_a_stop_is_told_and_does_not_wait_for_doorbells(driver: Driver) -> None:
    driver.accept("unstarted")
    driver.armed(RUN, (1, 1, 1))
    driver.claim_batch(RUN, 0)
    assert not driver.look_when_due("unstarted").stop
    assert driver.look_when_due(RUN, waiting=2).batches == ()

    for run in ("unstarted", RUN):
        driver.ledger.runs.request_stop(run)

    assert driver.look_when_due("unstarted").stop
    look = driver.look_when_due(RUN, waiting=2)
    assert (look.stop, look.batches) == (True, (1, 2))  # batch 0 has a live lease
    for batch in look.batches:
        driver.claim_batch(RUN, batch)
    assert driver.unclaimed(RunKind.ETL) == 0
