"""Requests to executors that answer later: sent once, answered once, and no batch waits for what is there."""

import json

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import (
    AnswerTicket,
    ExecutorAnswer,
    FileItem,
    FileOutcome,
    Intent,
    OutcomeKind,
    RecordedAnswer,
)
from unstract_worker_core.statuses import RunKind

from .driver import Driver

RUN = "run-a"
VALUE = {"success": True, "data": {"output": {"total": "1"}}}


def test_a_request_is_sent_once_whoever_owns_the_batch(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    first = driver.claim_batch(RUN, 0)
    assert driver.intend(first, 1, "a") is Intent.SEND
    driver.lapse_batch(RUN, 0)

    second = driver.claim_batch(RUN, 0)

    assert second.requests[1].published is False
    assert driver.intend(second, 1, "b") is Intent.WAITING
    with pytest.raises(LeaseLost):
        driver.intend(first, 1, "c")


def test_a_request_whose_time_is_over_is_sent_again_and_charged(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    reported = [driver.intend(claim, 1, nonce, wait=0) for nonce in ("a", "b", "c", "d")]

    assert reported == [Intent.SEND, Intent.SEND, Intent.SEND, Intent.GIVEN_UP]
    assert driver.charges(RUN) == {"1": "3"}


def test_an_intention_that_is_repeated_sees_the_answer_that_came_in_between(driver: Driver) -> None:
    """Redis was away after it took the intention, and the request before was answered meanwhile."""
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a", wait=0)
    assert driver.intend(claim, 1, "b") is Intent.SEND
    driver.answer(RUN, 1)

    assert driver.intend(claim, 1, "b") is Intent.ANSWERED


def test_a_worker_that_dies_between_the_sending_and_its_note_is_one_try(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    for tries in (1, 2):
        claim = driver.claim_batch(RUN, 0)
        driver.ledger.batches.start_file(claim, 1)
        assert driver.intend(claim, 1, f"try {tries}", wait=0) is Intent.SEND
        driver.lapse_batch(RUN, 0)
    claim = driver.claim_batch(RUN, 0)

    assert driver.charges(RUN) == {"1": "2"}
    assert driver.intend(claim, 1, "again") is Intent.SEND
    assert driver.charges(RUN) == {"1": "2"}


def test_a_request_that_was_not_sent_is_forgotten(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    driver.ledger.requests.withdraw(claim, 1, "another")
    assert driver.intend(claim, 1, "b") is Intent.WAITING
    driver.ledger.requests.withdraw(claim, 1, "a")

    assert driver.intend(claim, 1, "b") is Intent.SEND
    assert driver.charges(RUN) == {}


def test_a_later_request_that_was_not_sent_leaves_the_earlier_one_as_it_was(driver: Driver) -> None:
    """Its answer may still come, and is paid for."""
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a", wait=0)
    driver.ledger.requests.published(claim, 1, "a", wait_seconds=0)
    key = f"uw:{{{RUN}}}:requests"
    before = json.loads(driver.redis.hget(key, "1"))
    for nonce in ("b", "c", "d", "e"):
        assert driver.intend(claim, 1, nonce) is Intent.SEND
        assert driver.charges(RUN) == {"1": "1"}
        driver.ledger.requests.withdraw(claim, 1, nonce)
        driver.ledger.requests.withdraw(claim, 1, nonce)

    assert json.loads(driver.redis.hget(key, "1")) == before
    assert driver.charges(RUN) == {}
    assert not driver.answer(RUN, 1, VALUE).late


def test_a_request_that_is_charged_for_a_death_is_not_charged_again_after_a_withdrawal(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.intend(claim, 1, "a", wait=0)
    driver.lapse_batch(RUN, 0)
    claim = driver.claim_batch(RUN, 0)
    for nonce in ("b", "c"):
        assert driver.intend(claim, 1, nonce) is Intent.SEND
        driver.ledger.requests.withdraw(claim, 1, nonce)

    assert driver.charges(RUN) == {"1": "1"}


def test_a_record_without_the_request_before_is_withdrawn_and_forgotten(driver: Driver) -> None:
    """As the releases before wrote it."""
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    record = {"state": "intended", "nonce": "a", "at": 1, "expires": 2}
    driver.redis.hset(f"uw:{{{RUN}}}:requests", "1", json.dumps(record))
    driver.redis.hset(f"uw:{{{RUN}}}:charges", "1", "1")
    driver.ledger.requests.withdraw(claim, 1, "a")

    assert driver.requests(RUN) == {}
    assert driver.charges(RUN) == {"1": "1"}


def test_an_answer_ends_the_charges_for_requests_without_one(driver: Driver) -> None:
    """A worker that then dies with the answer once must not be the third try of its file."""
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    for nonce in ("a", "b", "c"):
        driver.intend(claim, 1, nonce, wait=0)
    assert driver.charges(RUN) == {"1": "2"}
    driver.answer(RUN, 1, VALUE)
    driver.ledger.batches.start_file(claim, 1)
    driver.lapse_batch(RUN, 0)

    assert driver.claim_batch(RUN, 0).charges == {1: 1}
    driver.answer(RUN, 1, VALUE)
    assert driver.charges(RUN) == {"1": "1"}


def test_an_answer_to_a_file_that_was_given_up_is_taken_until_it_has_its_outcome(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    for nonce in ("a", "b", "c", "d"):
        last = driver.intend(claim, 1, nonce, wait=0 if nonce != "d" else 60)
    assert last is Intent.GIVEN_UP
    driver.ledger.batches.release(claim)
    claim = driver.claim_batch(RUN, 0)
    assert claim.requests[1].seconds_left <= 0

    assert not driver.answer(RUN, 1, VALUE).late
    assert driver.charges(RUN) == {}


def test_an_answer_to_another_file_of_the_same_number_is_late(driver: Driver) -> None:
    """A run whose ledger was lost lists only what is left: its numbers mean other files than before."""
    driver.accept(RUN)
    files = [FileItem(number=1, name="2.pdf", path="in/2.pdf", file_execution_id="row-2")]
    driver.ledger.runs.arm(driver.claim(RUN), [files], driver.context(RUN, total=1))
    driver.intend(driver.claim_batch(RUN, 0), 1, "a")
    record = driver.ledger.requests.record

    assert record(AnswerTicket(RUN, 1, 0, 1, file_execution_id="row-1"), ExecutorAnswer("of 1.pdf")).late
    assert driver.answers(RUN) == {}
    assert not record(AnswerTicket(RUN, 1, 0, 1, file_execution_id="row-2"), ExecutorAnswer("of 2.pdf")).late


def test_a_published_request_is_kept_and_its_file_is_not_in_flight(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.intend(claim, 1, "a", wait=5)
    assert driver.ledger.requests.published(claim, 1, "a", wait_seconds=500)
    driver.ledger.requests.withdraw(claim, 1, "a")
    driver.lapse_batch(RUN, 0)

    request = driver.claim_batch(RUN, 0).requests[1]

    assert request.published
    assert 490 < request.seconds_left <= 500
    assert driver.charges(RUN) == {}


def test_publishing_is_noted_after_the_lease_was_lost(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    first = driver.claim_batch(RUN, 0)
    driver.intend(first, 1, "a")
    driver.lapse_batch(RUN, 0)
    driver.claim_batch(RUN, 0)

    assert driver.ledger.requests.published(first, 1, "a", wait_seconds=500)
    assert not driver.ledger.requests.published(first, 1, "another", wait_seconds=500)


def test_a_parked_batch_is_rung_by_its_answer(driver: Driver) -> None:
    driver.armed(RUN, (1,), kind=RunKind.API)
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    assert driver.ledger.requests.park(claim, 1, delay_seconds=300) is None
    assert driver.wait_of(RUN) == pytest.approx(300, abs=5)

    assert driver.answer(RUN, 1, VALUE) == RecordedAnswer(ring=RunKind.API)

    assert driver.wait_of(RUN) == pytest.approx(driver.times.first_ring_wait, abs=5)
    again = driver.claim_batch(RUN, 0)
    assert again.answers == {1: ExecutorAnswer(VALUE)}
    assert driver.charges(RUN) == {}
    assert driver.unclaimed(RunKind.API) == 0


def test_a_batch_is_not_parked_over_an_answer_that_came(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    assert driver.answer(RUN, 1, VALUE) == RecordedAnswer()

    assert driver.ledger.requests.park(claim, 1, delay_seconds=300) == ExecutorAnswer(VALUE)
    assert driver.ledger.batches.renew(claim)
    assert driver.intend(claim, 1, "b") is Intent.ANSWERED


def test_an_answer_after_the_owners_death_is_kept_for_the_next(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    driver.lapse_batch(RUN, 0)

    assert driver.answer(RUN, 1, VALUE).ring is RunKind.ETL
    assert driver.claim_batch(RUN, 0).answers == {1: ExecutorAnswer(VALUE)}


def test_the_first_answer_counts_and_is_forgotten_with_the_note_of_what_came_of_it(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    driver.answer(RUN, 1, "first")
    assert driver.answer(RUN, 1, "second").late
    driver.ledger.batches.note_executed(claim, 1, {})
    assert driver.answer(RUN, 1, "third").late
    driver.record(claim, 1)

    assert driver.answer(RUN, 1, "fourth").late
    assert not driver.redis.exists(f"uw:{{{RUN}}}:answers")


@pytest.mark.parametrize("completing", [False, True])
def test_nothing_of_a_request_is_left_once_its_file_has_an_outcome(driver: Driver, completing: bool) -> None:
    """A finaliser of release 0.x deletes what it knows of a run: requests are not among it."""
    driver.armed(RUN, (1, 1))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    driver.answer(RUN, 1, VALUE)
    if completing:
        outcome = FileOutcome(number=1, name="1.pdf", kind=OutcomeKind.COMPLETED)
        driver.ledger.batches.complete(claim, {1: serialization.encode(outcome)})
    else:
        driver.record(claim, 1)
        assert driver.intend(claim, 1, "b") is Intent.ANSWERED

    assert not driver.redis.exists(f"uw:{{{RUN}}}:requests", f"uw:{{{RUN}}}:answers")


@pytest.mark.parametrize("where", [{"epoch": 2}, {"number": 2}])
def test_an_answer_to_what_was_never_asked_is_late(driver: Driver, where: dict[str, int]) -> None:
    driver.armed(RUN, (2,))
    driver.intend(driver.claim_batch(RUN, 0), 1, "a")

    assert driver.answer(**({"run": RUN, "number": 1} | where)).late


def test_an_answer_to_a_run_that_is_over_is_late_and_leaves_nothing(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "a")
    driver.work_off(claim)
    driver.finish(driver.claim(RUN, "READY"))
    before = driver.keys(RUN)

    assert driver.answer(RUN, 1).late
    assert driver.keys(RUN) == before == [f"uw:{{{RUN}}}:meta"]


def test_a_stop_sends_nothing_and_makes_parked_batches_due(driver: Driver) -> None:
    driver.armed(RUN, (1, 1))
    parked, other = driver.claim_batch(RUN, 0), driver.claim_batch(RUN, 1)
    driver.intend(parked, 1, "a")
    driver.ledger.requests.park(parked, 1, delay_seconds=300)

    driver.ledger.runs.request_stop(RUN)

    assert driver.wait_of(RUN, "0") <= 0
    assert driver.wait_of(RUN, "1") > 30
    assert driver.intend(other, 2, "b") is Intent.STOPPED
