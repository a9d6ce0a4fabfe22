"""Every script run twice equals run once, and none touches another run's keys."""

from collections.abc import Callable
from typing import Any

import pytest

from unstract_worker_core.ledger import FileOutcome, OutcomeKind, RunState
from unstract_worker_core.ledger.store import STEP_NAMES

from .driver import Driver

RUN, OTHER = "run-a", "run-b"

Call = Callable[[], Any]


def accept(driver: Driver) -> Call:
    return lambda: driver.accept(RUN, start='{"first": 1}')


def claim_run(driver: Driver) -> Call:
    driver.accept(RUN)
    return lambda: driver.claim(RUN, token="me")


def claim_lapsed_run(driver: Driver) -> Call:
    driver.accept(RUN)
    driver.claim(RUN, token="dead")
    driver.lapse_run(RUN)
    return lambda: driver.claim(RUN, token="me")


def renew_run(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.ledger.runs.renew(claim)


def release_run(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.ledger.runs.release(claim, charge=True, reason="no")


def journal(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.ledger.runs.journal(claim, {"row:1": "id-1"})


def put_batches(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    steps = driver.ledger.runs._store
    return lambda: steps.run("put_batches", RUN, claim.token, 1, 0, "[]", 1, "[]")


def arm(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.arm(claim, (2, 1))


def arm_one_batch(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.arm(claim, (2,))


def arm_nothing(driver: Driver) -> Call:
    driver.accept(RUN)
    claim = driver.claim(RUN)
    return lambda: driver.arm(claim, ())


def claim_batch(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    return lambda: driver.claim_batch(RUN, 0, token="me")


def claim_lapsed_batch(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    driver.ledger.batches.start_file(driver.claim_batch(RUN, 0), 1)
    driver.lapse_batch(RUN, 0)
    return lambda: driver.claim_batch(RUN, 0, token="me")


def claim_busy_batch(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    driver.claim_batch(RUN, 0)
    return lambda: driver.ask_batch(RUN, 0)


def renew_batch(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    return lambda: driver.ledger.batches.renew(claim)


def intend_request(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    return lambda: driver.intend(claim, 1, "nonce")


def intend_lapsed_request(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "first", wait=0)
    return lambda: driver.intend(claim, 1, "second")


def intend_request_too_often(driver: Driver) -> Call:
    call = intend_lapsed_request(driver)
    driver.redis.hset(f"uw:{{{RUN}}}:charges", "1", "2")
    return call


def note_published(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.start_file(claim, 1)
    driver.intend(claim, 1, "nonce")
    return lambda: driver.ledger.requests.published(claim, 1, "nonce", wait_seconds=60)


def withdraw_request(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "nonce")
    return lambda: driver.ledger.requests.withdraw(claim, 1, "nonce")


def withdraw_second_request(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "first", wait=0)
    driver.intend(claim, 1, "second")
    return lambda: driver.ledger.requests.withdraw(claim, 1, "second")


def await_answer(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "nonce")
    return lambda: driver.ledger.requests.park(claim, 1, delay_seconds=60)


def await_answer_that_came(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "nonce")
    driver.answer(RUN, 1)
    return lambda: driver.ledger.requests.park(claim, 1, delay_seconds=60)


def record_answer(driver: Driver) -> Call:
    await_answer(driver)()
    return lambda: driver.answer(RUN, 1)


def record_answer_to_a_charged_file(driver: Driver) -> Call:
    intend_lapsed_request(driver)()
    return lambda: driver.answer(RUN, 1)


def record_late_answer(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.intend(claim, 1, "nonce")
    driver.record(claim, 1)
    return lambda: driver.answer(RUN, 1)


def stop_while_an_answer_is_out(driver: Driver) -> Call:
    await_answer(driver)()
    return lambda: driver.ledger.runs.request_stop(RUN)


def start_file(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    return lambda: driver.ledger.batches.start_file(claim, 2)


def note_executed(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    return lambda: driver.ledger.batches.note_executed(claim, 1, {"text": "x"})


def note_executed_late(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.record(claim, 1)
    return lambda: driver.ledger.batches.note_executed(claim, 1, {"text": "x"})


def record_file(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.note_executed(claim, 1, {"text": "x"})
    return lambda: driver.record(claim, 1)


def record_files_together(driver: Driver) -> Call:
    driver.armed(RUN, (3,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.note_executed(claim, 1, {"text": "x"})
    driver.ledger.batches.start_file(claim, 3)
    return lambda: driver.ledger.batches.record_all(claim, {1: '{"name":"x"}', 2: '{"name":"y"}'})


def complete_batch(driver: Driver) -> Call:
    driver.armed(RUN, (1, 1))
    claim = driver.claim_batch(RUN, 0)
    driver.record(claim, 1)
    return lambda: driver.ledger.batches.complete(claim)


def complete_with_outcomes(driver: Driver) -> Call:
    driver.armed(RUN, (2, 1))
    claim = driver.claim_batch(RUN, 0)
    driver.record(claim, 1)
    driver.ledger.batches.note_executed(claim, 2, {"text": "x"})
    return lambda: driver.ledger.batches.complete(claim, {2: '{"name":"y"}'})


def complete_last_batch(driver: Driver) -> Call:
    driver.armed(RUN, (1, 1))
    driver.work_off(driver.claim_batch(RUN, 0))
    claim = driver.claim_batch(RUN, 1)
    driver.record(claim, 2)
    return lambda: driver.ledger.batches.complete(claim)


def release_batch(driver: Driver) -> Call:
    driver.armed(RUN, (2,))
    claim = driver.claim_batch(RUN, 0)
    return lambda: driver.ledger.batches.release(claim, delay_seconds=5, charge_file=1)


def stop(driver: Driver) -> Call:
    driver.armed(RUN)
    return lambda: driver.ledger.runs.request_stop(RUN)


def claim_ready_run(driver: Driver) -> Call:
    driver.ready(RUN)
    return lambda: driver.claim(RUN, RunState.READY, token="me")


def finish(driver: Driver) -> Call:
    driver.ready(RUN)
    claim = driver.claim(RUN, RunState.READY)
    return lambda: driver.finish(claim)


def settle(driver: Driver) -> Call:
    driver.done(RUN)
    return lambda: driver.ledger.runs.clear_recheck(RUN)


def overdue(driver: Driver) -> Call:
    driver.accept(RUN)
    driver.make_due(RUN)
    return lambda: driver.ledger.runs.overdue(10)


def look_accepted(driver: Driver) -> Call:
    driver.accept(RUN)
    driver.make_due(RUN)
    return lambda: driver.look(RUN)


def look_armed(driver: Driver) -> Call:
    driver.armed(RUN)
    driver.claim_batch(RUN, 0)
    driver.lapse_batch(RUN, 0)
    return lambda: driver.look(RUN)


def look_ready(driver: Driver) -> Call:
    driver.ready(RUN)
    driver.make_due(RUN)
    return lambda: driver.look(RUN)


def look_done(driver: Driver) -> Call:
    driver.done(RUN)
    driver.make_due(RUN)
    return lambda: driver.look(RUN)


CASES = {
    "accept": [accept],
    "arm": [arm, arm_one_batch, arm_nothing],
    "await_answer": [await_answer, await_answer_that_came],
    "claim_batch": [claim_batch, claim_lapsed_batch, claim_busy_batch],
    "claim_run": [claim_run, claim_lapsed_run, claim_ready_run],
    "complete_batch": [complete_batch, complete_with_outcomes, complete_last_batch],
    "finish": [finish],
    "intend_request": [intend_request, intend_lapsed_request, intend_request_too_often],
    "journal": [journal],
    "decide_due": [look_accepted, look_armed, look_ready, look_done],
    "note_executed": [note_executed, note_executed_late],
    "note_published": [note_published],
    "overdue": [overdue],
    "put_batches": [put_batches],
    "record_answer": [record_answer, record_answer_to_a_charged_file, record_late_answer],
    "record_file": [record_file, record_files_together],
    "release_batch": [release_batch],
    "release_run": [release_run],
    "renew_batch": [renew_batch],
    "renew_run": [renew_run],
    "clear_recheck": [settle],
    "start_file": [start_file],
    "stop": [stop, stop_while_an_answer_is_out],
    "withdraw_request": [withdraw_request, withdraw_second_request],
}
ALL = [case for cases in CASES.values() for case in cases]


def test_every_script_has_its_case_here() -> None:
    assert sorted(CASES) == sorted(STEP_NAMES)


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.__name__)
def test_every_script_run_twice_equals_run_once(driver: Driver, case: Callable[[Driver], Call]) -> None:
    call = case(driver)
    call()
    once = driver.dump(RUN)

    call()

    assert driver.dump(RUN) == once


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.__name__)
def test_no_script_touches_another_runs_keys(driver: Driver, case: Callable[[Driver], Call]) -> None:
    driver.armed(OTHER, (2, 1))
    held = driver.claim_batch(OTHER, 0)
    driver.ledger.batches.start_file(held, 1)
    before = driver.exact(OTHER)

    case(driver)()

    assert driver.exact(OTHER) == before


def test_two_interleaved_runs_end_with_their_own_outcomes(driver: Driver) -> None:
    claims = {}
    for run in (RUN, OTHER):
        driver.armed(run, (1,))
        claims[run] = driver.claim_batch(run, 0, token="the same token")
    for run, kind in ((OTHER, OutcomeKind.ERROR), (RUN, OutcomeKind.COMPLETED)):
        outcome = FileOutcome(number=1, name=run, kind=kind)
        driver.record_outcome(claims[run], outcome)
        driver.ledger.batches.complete(claims[run])

    names = {run: [outcome.name for outcome in driver.ledger.runs.outcomes(run)] for run in (RUN, OTHER)}
    assert names == {RUN: [RUN], OTHER: [OTHER]}
