"""Holding what was claimed: renewal, loss, the local clock, hand-back."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve

from unstract_devstack.processes import wait_until
from unstract_worker_core.config import LedgerSettings
from unstract_worker_core.errors import LeaseLost, LedgerError, LedgerUnavailable
from unstract_worker_core.ledger import Held, LeaseKeeper, RunState

from .driver import Driver

RUN = "run-a"


@define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_keeper(driver: Driver) -> Callable[..., LeaseKeeper]:
    def make(**options: Any) -> LeaseKeeper:
        settings = {"lease_seconds": 60.0} | options
        return LeaseKeeper(driver.ledger.runs, driver.ledger.batches, **settings)

    return make


def held_by(clock: Clock, renew: Callable[[], bool] = lambda: True) -> Held:
    return Held("run x", 60.0, renew, lambda: None, clock=clock)


def test_a_lease_is_good_until_its_time_by_the_local_clock(clock: Clock) -> None:
    held = held_by(clock)
    clock.now += 59.9
    held.check()

    clock.now += 0.1

    assert held.lost
    with pytest.raises(LeaseLost, match="run x"):
        held.check()


def test_a_renewal_counts_from_when_it_was_asked_for(clock: Clock) -> None:
    def slow() -> bool:
        clock.now += 10
        return True

    held = held_by(clock, slow)
    held.renew()
    clock.now += 49.9
    held.check()
    clock.now += 0.1
    assert held.lost


def test_a_lease_that_redis_does_not_extend_is_lost_at_once(clock: Clock) -> None:
    held = held_by(clock, lambda: False)

    held.renew()

    assert held.lost


def test_redis_away_lets_the_lease_run_down_and_no_further(clock: Clock) -> None:
    def away() -> bool:
        raise LedgerUnavailable("away")

    held = held_by(clock, away)
    clock.now += 30
    with pytest.raises(LedgerUnavailable):
        held.renew()
    held.check()
    clock.now += 30
    assert held.lost


def test_a_worker_paused_between_claim_and_hold_learns_it(
    driver: Driver, make_keeper: Callable[..., LeaseKeeper], clock: Clock
) -> None:
    driver.armed(RUN, (1,))
    claim = evolve(driver.claim_batch(RUN, 0), asked_at=clock.now)
    clock.now += 61  # SIGSTOP, SIGCONT

    with make_keeper(clock=clock).batch(claim) as held, pytest.raises(LeaseLost):
        held.check()


def test_claims_know_when_they_were_asked_for(driver: Driver) -> None:
    driver.accept(RUN)
    first = driver.claim(RUN)
    driver.arm(first, (1,))
    second = driver.claim_batch(RUN, 0)

    assert 0 < first.asked_at <= second.asked_at


def test_the_keeper_renews_what_is_held_and_nothing_else(
    driver: Driver, make_keeper: Callable[..., LeaseKeeper], clock: Clock
) -> None:
    driver.accept("run-b")
    driver.armed(RUN, (1, 1))
    run, batch, let_go = driver.claim("run-b"), driver.claim_batch(RUN, 0), driver.claim_batch(RUN, 1)
    # A clock that does not move: a busy machine may hold this thread up for longer than such a lease.
    keeper = make_keeper(lease_seconds=0.03, clock=clock)
    with keeper.batch(evolve(let_go, asked_at=clock.now)):
        pass
    ends = driver.lease(RUN, 1)["ends"]
    driver.lapse_run("run-b")
    driver.lapse_batch(RUN, 0)
    with keeper.run(evolve(run, asked_at=clock.now)), keeper.batch(evolve(batch, asked_at=clock.now)):
        assert len(keeper.held()) == 2
        assert wait_until(lambda: driver.lease(RUN, 0)["ends"] > 1, seconds=10)
        assert wait_until(lambda: driver.meta("run-b")["lease_ends"] != "1", seconds=10)

    assert keeper.held() == ()
    assert driver.lease(RUN, 1)["ends"] <= ends
    assert wait_until(lambda: keeper._renewals._thread is None, seconds=10)


def test_the_holder_learns_that_somebody_else_took_the_batch(
    driver: Driver, make_keeper: Callable[..., LeaseKeeper], clock: Clock
) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)
    driver.claim_batch(RUN, 0)

    with make_keeper(lease_seconds=0.03, clock=clock).batch(evolve(claim, asked_at=clock.now)) as held:
        assert wait_until(lambda: held.lost, seconds=10)


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), RuntimeError("a bug")])
def test_the_keeper_goes_on_after_errors(
    driver: Driver,
    make_keeper: Callable[..., LeaseKeeper],
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    error: Exception,
) -> None:
    calls = threading.Semaphore(0)
    answers = iter([error])

    def renew(_: Any) -> bool:
        calls.release()
        for failure in answers:
            raise failure
        return True

    monkeypatch.setattr(driver.ledger.batches, "renew", renew)
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)

    with make_keeper(lease_seconds=0.03, clock=clock).batch(evolve(claim, asked_at=clock.now)) as held:
        for _ in range(3):
            assert calls.acquire(timeout=10)
        held.check()


def test_handing_back_releases_everything_and_charges_nothing(
    driver: Driver, make_keeper: Callable[..., LeaseKeeper]
) -> None:
    driver.accept("run-b")
    driver.armed(RUN, (2,))
    run, batch = driver.claim("run-b"), driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(batch, 1)
    keeper = make_keeper()

    with keeper.run(run) as first, keeper.batch(batch) as second:
        assert keeper.hand_back_all() == 2
        assert first.lost
        assert second.lost

    again = driver.claim("run-b")
    assert (again.attempts, again.last_error) == (0, "handed back")
    assert driver.claim_batch(RUN, 0).charges == {}


def test_what_hangs_is_left_to_lapse(driver: Driver, make_keeper: Callable[..., LeaseKeeper]) -> None:
    driver.accept("run-b")
    driver.armed(RUN, (2,))
    run, batch = driver.claim("run-b"), driver.claim_batch(RUN, 0)
    keeper, entered, done = make_keeper(), threading.Event(), threading.Event()

    def hang() -> None:
        with keeper.batch(batch):
            entered.set()
            done.wait(30)

    thread = threading.Thread(target=hang)
    thread.start()
    assert entered.wait(10)
    with keeper.run(run) as other:
        assert keeper.hand_back_all(except_threads=[thread.ident or 0]) == 1
        assert other.lost
    assert [held.lost for held in keeper.held()] == [False]
    done.set()
    thread.join(10)


def test_handing_back_while_redis_is_away_still_marks_the_work_as_lost(clock: Clock, driver: Driver) -> None:
    class Away:
        def release(self, *_: Any, **__: Any) -> None:
            raise LedgerError("away")

    keeper = LeaseKeeper(Away(), Away(), lease_seconds=60.0, clock=clock)
    driver.accept(RUN)
    with keeper.run(evolve(driver.claim(RUN), asked_at=clock.now)) as held:
        assert not held.lost
        assert keeper.hand_back_all() == 0
        assert held.lost


def test_work_handed_back_is_not_recorded_any_more(driver: Driver, make_keeper: Callable[..., LeaseKeeper]) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    keeper = make_keeper()
    with keeper.batch(claim):
        keeper.hand_back_all()
        with pytest.raises(LeaseLost):
            driver.record(claim, 1)

    assert driver.ledger.runs.state(RUN) is RunState.ARMED


def test_by_default_killed_work_is_taken_up_soon_and_a_pause_of_ten_seconds_loses_nothing():
    defaults = LedgerSettings()
    longest_sweep = 1.25 * defaults.sweep_seconds
    assert defaults.lease_seconds + longest_sweep < 25
    assert defaults.first_ring_wait + longest_sweep < 25  # a doorbell that was lost with its worker
    assert defaults.lease_seconds * 2 / 3 >= 10 + 1  # a renewal every third of the lease, which may itself be late
