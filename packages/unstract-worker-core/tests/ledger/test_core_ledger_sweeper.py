"""The sweeper: each action, failures of one run that do not hide others, two sweepers at once."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from unstract_devstack.processes import wait_until
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.sweeper import Sweeper
from unstract_worker_core.statuses import RunKind

from .driver import Driver
from .recorder import BrokerAway, Recorder

RUN = "run-a"


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make_sweeper(driver: Driver, recorder: Recorder) -> Callable[..., Sweeper]:
    def make(**options: Any) -> Sweeper:
        settings = {"interval": 3600.0, "recheck_seconds": 60.0} | options
        return Sweeper(driver.ledger.runs, recorder, recorder, **settings)

    return make


@pytest.fixture
def sweeper(make_sweeper: Callable[..., Sweeper]) -> Sweeper:
    return make_sweeper()


def test_nothing_due_costs_no_look_at_the_broker(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.accept(RUN)

    assert sweeper.tick() == Counter()
    assert (recorder.calls, recorder.counted) == ([], 0)


@pytest.mark.parametrize("task", [RunTask.EXECUTION, RunTask.SCHEDULE, RunTask.WEBHOOK])
def test_an_accepted_run_is_rung_as_the_task_that_it_is(
    driver: Driver, sweeper: Sweeper, recorder: Recorder, task: RunTask
) -> None:
    driver.accept(RUN, task=task, kind=RunKind.API)
    driver.make_due(RUN)

    assert sweeper.tick() == Counter(looked=1, orchestrate=1)
    assert recorder.calls == [("start", RUN, task, RunKind.API)]


def test_lost_batch_doorbells_are_rung_again(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.armed(RUN, (1, 1))
    driver.make_due(RUN)

    assert sweeper.tick() == Counter(looked=1, batches=2)
    assert recorder.calls == [("batches", RUN, 1, (0, 1), RunKind.ETL)]


def test_what_was_just_rung_counts_as_waiting(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    recorder.depth = 2  # of four unclaimed doorbells two are still in the queue
    for run in ("run-a", "run-b"):
        driver.armed(run, (1, 1))
        driver.make_due(run)

    assert sweeper.tick()["batches"] == 2
    assert len(recorder.calls) == 1


def test_a_backlog_rings_nothing(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    recorder.depth = 1
    driver.armed(RUN, (1,))
    driver.make_due(RUN)

    assert sweeper.tick() == Counter(looked=1)
    assert recorder.calls == []


def test_a_ready_run_is_rung_three_times_then_finalised_inline(
    driver: Driver, sweeper: Sweeper, recorder: Recorder
) -> None:
    driver.ready(RUN)
    for _ in range(5):
        driver.make_due(RUN)
        assert sweeper.tick() == Counter(looked=1, finalise=1)

    assert [what for what, _ in recorder.calls] == ["callback"] * 3 + ["finalise"] * 2


def test_a_stopped_run_is_ended_here_and_rung_for_nowhere(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.accept("run-b")
    driver.armed(RUN, (1, 1))
    for run in (RUN, "run-b"):
        driver.ledger.runs.request_stop(run)
        driver.make_due(run)

    assert sweeper.tick() == Counter(looked=2, stopped=2)
    assert sorted(recorder.calls) == [("end batches", RUN, 1, (0, 1)), ("end start", "run-b")]

    for batch in (0, 1):
        driver.claim_batch(RUN, batch)
    driver.make_due(RUN)
    assert sweeper.tick() == Counter(looked=1)  # its workers are at it


def test_a_stop_means_nothing_to_what_is_no_execution(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.accept(RUN, task=RunTask.WEBHOOK)
    driver.ledger.runs.request_stop(RUN)
    driver.make_due(RUN)

    assert sweeper.tick() == Counter(looked=1, orchestrate=1)


def test_a_chords_callback_is_rung(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.accept(RUN, task=RunTask.CHORD_CALLBACK, state=RunState.READY)
    driver.make_due(RUN)

    sweeper.tick()

    assert recorder.calls == [("callback", RUN)]


@pytest.mark.parametrize("stage", ["accept", "armed", "ready"])
def test_a_chords_batch_is_ignored(driver: Driver, sweeper: Sweeper, recorder: Recorder, stage: str) -> None:
    getattr(driver, stage)(RUN, task=RunTask.CHORD_BATCH)
    for _ in range(5):
        driver.make_due(RUN)
        sweeper.tick()

    assert recorder.calls == []


def test_a_finished_run_is_read_back_once_more_and_settled(
    driver: Driver, sweeper: Sweeper, recorder: Recorder
) -> None:
    driver.done(RUN)
    driver.make_due(RUN)

    assert sweeper.tick() == Counter(looked=1, rechecked=1)
    assert recorder.calls == [("recheck", RUN, "org_1", "COMPLETED")]
    assert driver.redis.zscore("uw:due", RUN) is None


def test_a_read_back_that_failed_is_tried_again(driver: Driver, sweeper: Sweeper, recorder: Recorder) -> None:
    driver.done(RUN)
    driver.make_due(RUN)
    recorder.fails = {RUN: BrokerAway()}
    assert sweeper.tick() == Counter(failed=1)

    recorder.fails = {}
    driver.make_due(RUN)

    assert sweeper.tick()["rechecked"] == 1


def test_an_entry_without_a_run_is_dropped(driver: Driver, sweeper: Sweeper) -> None:
    driver.redis.zadd("uw:due", {"ghost": 1})

    assert sweeper.tick() == Counter(looked=1, dropped=1)


@pytest.mark.parametrize("error", [BrokerAway("away"), RuntimeError("a bug")])
def test_the_failure_of_one_run_does_not_hide_the_others(
    driver: Driver, make_sweeper: Callable[..., Sweeper], recorder: Recorder, error: Exception
) -> None:
    for run in ("run-a", "run-b", "run-c"):
        driver.accept(run)
        driver.make_due(run)
    recorder.fails = {"run-b": error}
    seen: list[Counter[str]] = []

    make_sweeper(observe=seen.append).tick()

    assert sorted(run for _, run, *_ in recorder.calls) == ["run-a", "run-c"]
    assert seen == [Counter(looked=2, orchestrate=2, failed=1)]


def test_a_run_whose_keys_are_broken_does_not_hide_the_others(
    driver: Driver, sweeper: Sweeper, recorder: Recorder
) -> None:
    driver.redis.set("uw:{broken}:meta", "not a hash")
    driver.redis.zadd("uw:due", {"broken": 1})
    driver.accept(RUN)
    driver.make_due(RUN)

    sweep = sweeper.tick()

    assert (sweep["failed"], sweep["orchestrate"]) == (1, 1)


def test_redis_away_fails_the_tick_and_says_so(driver: Driver, recorder: Recorder, redis_server: Any) -> None:
    with redis_server.client() as client:
        runs = type(driver.ledger)(client, driver.times).runs
        client.connection_pool.connection_kwargs["port"] = 1
        sweeper = Sweeper(runs, recorder, recorder, interval=3600, recheck_seconds=1)
        with pytest.raises(LedgerUnavailable):
            sweeper.tick()


def test_two_sweepers_at_once_ring_once(
    driver: Driver, make_sweeper: Callable[..., Sweeper], recorder: Recorder
) -> None:
    for number in range(30):
        driver.armed(f"run-{number}", (1,))
        driver.make_due(f"run-{number}")
    barrier = threading.Barrier(4)

    def sweep() -> None:
        sweeper = make_sweeper()
        barrier.wait()
        sweeper.tick()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(run for _, run, *_ in recorder.calls) == sorted(f"run-{number}" for number in range(30))


def test_a_tick_looks_at_no_more_than_its_limit(driver: Driver, make_sweeper: Callable[..., Sweeper]) -> None:
    for number in range(5):
        driver.accept(f"run-{number}")
        driver.make_due(f"run-{number}")
    sweeper = make_sweeper(limit=3)

    assert [sweeper.tick()["looked"] for _ in range(3)] == [3, 2, 0]


def test_the_thread_sweeps_on_after_errors_until_it_is_stopped(
    driver: Driver, make_sweeper: Callable[..., Sweeper], recorder: Recorder
) -> None:
    ticks = threading.Semaphore(0)
    outcomes = iter([LedgerUnavailable("away"), RuntimeError("a bug")])

    def observe(_: Counter[str]) -> None:
        ticks.release()
        error = next(outcomes, None)
        if error is not None:
            raise error

    driver.accept(RUN)
    sweeper = make_sweeper(interval=0.001, observe=observe)
    sweeper.start()
    for _ in range(3):
        assert ticks.acquire(timeout=10)
    driver.make_due(RUN)
    assert wait_until(lambda: ("start", RUN, RunTask.EXECUTION, RunKind.ETL) in recorder.calls, seconds=10)
    sweeper.stop()

    assert not any(thread.name == "sweep" for thread in threading.enumerate())


def test_a_stopped_sweeper_leaves_the_rest_of_its_tick(
    driver: Driver, make_sweeper: Callable[..., Sweeper], recorder: Recorder
) -> None:
    for run in ("run-a", "run-b"):
        driver.accept(run)
        driver.make_due(run)
    sweeper = make_sweeper()
    sweeper.stop()

    assert sweeper.tick() == Counter()
    assert recorder.calls == []
