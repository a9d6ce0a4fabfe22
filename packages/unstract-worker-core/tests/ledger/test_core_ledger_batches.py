"""Steps on a batch: claim, start, record, complete, hand back; who is charged for what."""

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.errors import LeaseLost, LedgerError
from unstract_worker_core.ledger import BatchRefusal, FileOutcome, OutcomeKind, RunState

from .driver import Driver

RUN = "run-a"


def outcome(number: int, name: str) -> FileOutcome:
    return FileOutcome(number=number, name=name, kind=OutcomeKind.COMPLETED, result={"by": name})


def test_a_claim_says_what_is_left_to_do(driver: Driver) -> None:
    driver.armed(RUN, (3,))
    first = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(first, 1)
    driver.record(first, 1)
    driver.ledger.batches.start_file(first, 2)
    driver.ledger.batches.note_executed(first, 1, {"late": True})
    driver.ledger.batches.note_executed(first, 2, {"text": "ü"})
    driver.lapse_batch(RUN, 0)

    second = driver.claim_batch(RUN, 0)

    assert [item.number for item in second.files] == [1, 2, 3]
    assert second.recorded == {1}
    assert second.charges == {2: 1}
    assert second.executed == {2: {"text": "ü"}}
    assert second.context.execution_id == RUN
    assert second.fence == first.fence + 1
    assert second.age_seconds >= 0


def test_a_file_in_flight_is_charged_although_another_of_its_batch_was_recorded(driver: Driver) -> None:
    """A sequence that a drifted model of the state machine once denied: see test_core_ledger_machine.py."""
    driver.armed(RUN, (2,))
    first = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(first, 2)
    driver.record(first, 1)
    driver.lapse_batch(RUN, 0)

    assert driver.claim_batch(RUN, 0).charges == {2: 1}


def test_refusals_say_why(driver: Driver) -> None:
    assert driver.ask_batch("unknown", 0) == BatchRefusal("closed")
    driver.accept(RUN)
    assert driver.ask_batch(RUN, 0) == BatchRefusal("closed")
    driver.arm(driver.claim(RUN), (1, 1))
    assert driver.ask_batch(RUN, 7) == BatchRefusal("unknown")
    assert driver.ask_batch(RUN, 0, epoch=2) == BatchRefusal("closed")
    claim = driver.claim_batch(RUN, 0)
    assert driver.ask_batch(RUN, 0) == BatchRefusal("busy")
    driver.work_off(claim)
    assert driver.ask_batch(RUN, 0) == BatchRefusal("done")
    driver.work_off(driver.claim_batch(RUN, 1))
    assert driver.ask_batch(RUN, 1) == BatchRefusal("closed")


def test_what_a_file_gave_is_kept_only_until_its_outcome_is_recorded(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.note_executed(claim, 1, {"text": "first"})
    driver.ledger.batches.note_executed(claim, 1, {"text": "again"})
    assert driver.redis.hgetall(f"uw:{{{RUN}}}:executed") == {"1": '{"text":"first"}'}
    driver.record(claim, 1)

    assert not driver.redis.exists(f"uw:{{{RUN}}}:executed")


def test_an_outcome_takes_only_its_own_file_out_of_flight(driver: Driver) -> None:
    driver.armed(RUN, (3,))
    first = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(first, 1)
    driver.ledger.batches.note_executed(first, 1, {})
    driver.ledger.batches.start_file(first, 2)
    driver.record(first, 1)
    driver.lapse_batch(RUN, 0)

    assert driver.claim_batch(RUN, 0).charges == {2: 1}


def test_the_first_outcome_of_a_file_is_immutable(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    first = driver.claim_batch(RUN, 0)
    driver.record_outcome(first, outcome(1, "first"))
    driver.record_outcome(first, outcome(1, "again"))
    driver.lapse_batch(RUN, 0)
    second = driver.claim_batch(RUN, 0)
    driver.record_outcome(second, outcome(1, "second"))
    driver.record_outcome(first, outcome(1, "late"))  # known already: as good as recorded

    assert [found.name for found in driver.ledger.runs.outcomes(RUN)] == ["first"]


def test_outcomes_that_come_with_the_completion_count_like_those_before(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    first = driver.claim_batch(RUN, 0)
    driver.record(first, 1)
    driver.lapse_batch(RUN, 0)
    second = driver.claim_batch(RUN, 0)
    late = serialization.encode(outcome(2, "late"))
    with pytest.raises(LeaseLost):
        driver.ledger.batches.complete(first, {2: late})
    assert len(list(driver.ledger.runs.outcomes(RUN))) == 1

    assert driver.ledger.batches.complete(second, {2: serialization.encode(outcome(2, "second"))}) is RunState.READY
    assert [found.name for found in driver.ledger.runs.outcomes(RUN)][1] == "second"


def test_the_fence_of_each_accepted_write_is_at_least_all_earlier_ones(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    fences = []
    claims = []
    for _ in range(4):
        claims.append(driver.claim_batch(RUN, 0))
        driver.lapse_batch(RUN, 0)
    for claim in (claims[1], claims[3], claims[0], claims[3]):
        for write in (
            lambda claim=claim: driver.ledger.batches.start_file(claim, 1),
            lambda claim=claim: driver.ledger.batches.note_executed(claim, 1, claim.fence),
            lambda claim=claim: driver.record(claim, 2),
        ):
            try:
                write()
            except LeaseLost:
                continue
            fences.append(claim.fence)

    # A record of a file that is known already is confirmed to anybody; nothing is written by it.
    assert fences == [claims[3].fence] * 3 + [claims[0].fence] + [claims[3].fence] * 3
    assert driver.redis.hget(f"uw:{{{RUN}}}:executed", "1") == str(claims[3].fence)


def test_a_stale_owner_writes_nothing(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    stale = driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)
    driver.claim_batch(RUN, 0)
    before = driver.exact(RUN)

    assert not driver.ledger.batches.renew(stale)
    driver.ledger.batches.release(stale, charge_file=1)
    for write in (
        lambda: driver.ledger.batches.start_file(stale, 1),
        lambda: driver.ledger.batches.note_executed(stale, 1, {}),
        lambda: driver.record(stale, 1),
        lambda: driver.ledger.batches.complete(stale),
    ):
        with pytest.raises(LeaseLost):
            write()

    assert driver.exact(RUN) == before


def test_an_owner_past_its_lease_may_go_on_while_nobody_else_came(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)

    assert driver.ledger.batches.renew(claim)
    assert driver.work_off(claim) is RunState.READY


def test_a_lapse_charges_only_the_file_in_flight(driver: Driver) -> None:
    driver.armed(RUN, (3,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.record(claim, 1)
    driver.ledger.batches.start_file(claim, 2)
    for expected in ({"2": "1"}, {"2": "1"}):  # the second owner dies before it starts any file
        driver.lapse_batch(RUN, 0)
        driver.claim_batch(RUN, 0)
        assert driver.charges(RUN) == expected


def test_a_lapse_between_two_files_charges_none(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.record(claim, 1)
    driver.lapse_batch(RUN, 0)

    assert driver.claim_batch(RUN, 0).charges == {}


def test_handing_back_charges_none_but_the_file_whose_outcome_is_unknown(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.ledger.batches.release(claim)
    again = driver.claim_batch(RUN, 0)
    assert driver.charges(RUN) == {}
    driver.ledger.batches.start_file(again, 1)

    driver.ledger.batches.release(again, delay_seconds=5, charge_file=1)

    assert 4 < driver.wait_of(RUN, "0") <= 5
    assert 4 < driver.wait_of(RUN) <= 5
    assert driver.claim_batch(RUN, 0).charges == {1: 1}


def test_an_incomplete_batch_is_not_closed(driver: Driver) -> None:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.record(claim, 1)

    with pytest.raises(LedgerError, match="no outcome for file 2"):
        driver.ledger.batches.complete(claim)
    assert driver.ledger.runs.state(RUN) is RunState.ARMED


def test_ready_exactly_when_every_batch_has_an_outcome(driver: Driver) -> None:
    driver.armed(RUN, (1, 2, 1))
    states = []
    for batch in (2, 0, 1):
        claim = driver.claim_batch(RUN, batch)
        states.append(driver.work_off(claim))
        states.append(driver.ledger.batches.complete(claim))  # not counted twice
        outcomes = set(driver.redis.hkeys(f"uw:{{{RUN}}}:outcomes"))
        records = set(driver.redis.hkeys(f"uw:{{{RUN}}}:batches:1"))
        assert outcomes <= records
        assert (driver.ledger.runs.state(RUN) is RunState.READY) == (outcomes == records)

    assert states == [RunState.ARMED] * 4 + [RunState.READY] * 2


def test_completing_a_batch_of_a_finished_run_says_done(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    claim = driver.claim_batch(RUN, 0)
    driver.work_off(claim)
    driver.finish(driver.claim(RUN, RunState.READY))
    before = driver.exact(RUN)

    assert driver.ledger.batches.complete(claim) is RunState.DONE
    assert driver.exact(RUN) == before
    driver.redis.delete(f"uw:{{{RUN}}}:meta")  # the tombstone expired
    assert driver.ledger.batches.complete(claim) is RunState.DONE


def test_the_age_of_a_batch_counts_from_its_first_claim(driver: Driver) -> None:
    driver.armed(RUN, (1,))
    driver.claim_batch(RUN, 0)
    first = driver.lease(RUN, 0)["first"]
    driver.lapse_batch(RUN, 0)
    driver.claim_batch(RUN, 0)

    assert driver.lease(RUN, 0)["first"] == first > 0
