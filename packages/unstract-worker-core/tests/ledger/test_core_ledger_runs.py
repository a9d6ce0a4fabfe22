"""Steps on a run: accept, claim, journal, arm, finish, stop."""

import pytest

from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import FileOutcome, OutcomeKind, RunState, RunTask
from unstract_worker_core.statuses import ExecutionStatus, RunKind

from .driver import Driver

RUN = "run-a"
OPEN_STATES = ("ACCEPTED", "orchestrating", "ARMED", "working", "READY", "finalising")


def lead_to(driver: Driver, stage: str) -> None:
    if stage in ("ACCEPTED", "orchestrating"):
        driver.accept(RUN)
    if stage == "orchestrating":
        driver.ledger.runs.journal(driver.claim(RUN), {"row:1": "x"})
    if stage in ("ARMED", "working"):
        driver.armed(RUN, (2, 1))
    if stage == "working":
        claim = driver.claim_batch(RUN, 0)
        driver.ledger.batches.note_executed(claim, 1, {})
        driver.record(claim, 2)
        driver.ledger.batches.release(claim, charge_file=1)
    if stage in ("READY", "finalising"):
        driver.ready(RUN)
    if stage == "finalising":
        driver.claim(RUN, RunState.READY)


def test_accept_writes_the_first_message_down_and_ignores_duplicates(driver: Driver) -> None:
    first = driver.accept(RUN, start='{"n": 1}', kind=RunKind.API)
    second = driver.accept(RUN, start='{"n": 2}', task=RunTask.WEBHOOK)

    assert (first.state, first.fresh, second.state, second.fresh) == (
        RunState.ACCEPTED, True, RunState.ACCEPTED, False,
    )  # fmt: skip
    claim = driver.claim(RUN)
    assert (claim.start, claim.task, claim.kind, claim.organization_id) == (
        '{"n": 1}', RunTask.EXECUTION, RunKind.API, "org_1",
    )  # fmt: skip


def test_a_duplicate_start_of_a_finished_run_finds_the_tombstone(driver: Driver) -> None:
    driver.done(RUN)

    again = driver.accept(RUN)

    assert (again.state, again.fresh) == (RunState.DONE, False)
    assert driver.ledger.runs.final(RUN).status is ExecutionStatus.COMPLETED


@pytest.mark.parametrize("stage", OPEN_STATES)
def test_no_open_key_has_a_ttl(driver: Driver, stage: str) -> None:
    lead_to(driver, stage)

    keys = driver.keys(RUN)

    assert keys
    assert {key: driver.redis.ttl(key) for key in keys} == dict.fromkeys(keys, -1)


@pytest.mark.parametrize("stage", OPEN_STATES)
def test_every_open_run_is_found_by_the_sweeper(driver: Driver, stage: str) -> None:
    lead_to(driver, stage)
    if stage in ("orchestrating", "finalising"):
        driver.lapse_run(RUN)
    driver.make_due(RUN)

    assert driver.redis.smembers("uw:open") == {RUN}
    assert driver.ledger.runs.overdue(10) == (RUN,)
    assert driver.look(RUN).action in ("orchestrate", "ring", "finalise")


def test_done_deletes_payloads_and_leaves_a_tombstone_that_expires(driver: Driver) -> None:
    driver.accept(RUN)
    driver.ledger.runs.journal(driver.claim(RUN, token="me"), {"row:1": "x"})
    driver.arm(driver.claim(RUN, token="me"), (2,))
    claim = driver.claim_batch(RUN, 0)
    driver.ledger.batches.release(claim, charge_file=1)
    driver.work_off(driver.claim_batch(RUN, 0))
    driver.finish(driver.claim(RUN, RunState.READY))

    assert driver.keys(RUN) == [f"uw:{{{RUN}}}:meta"]
    assert 3590 < driver.redis.ttl(f"uw:{{{RUN}}}:meta") <= 3600
    assert not driver.redis.smembers("uw:open")
    assert driver.ledger.runs.state(RUN) is RunState.DONE


def test_state_and_epoch_only_grow(driver: Driver) -> None:
    order = list(RunState)
    seen = []

    def note() -> None:
        seen.append((order.index(driver.ledger.runs.state(RUN)), int(driver.meta(RUN)["epoch"])))

    driver.accept(RUN)
    note()
    stale = driver.claim(RUN)
    driver.arm(stale, (1,))
    note()
    driver.accept(RUN)
    driver.arm(stale, (1, 1))
    driver.work_off(driver.claim_batch(RUN, 0))
    note()
    driver.arm(stale, ())
    last = driver.claim(RUN, RunState.READY)
    driver.finish(last)
    note()
    driver.accept(RUN)
    driver.arm(stale, (1,))
    note()

    assert seen == sorted(seen)
    assert seen[0] == (0, 0)
    assert seen[-1] == (3, 1)


def test_only_one_claim_holds_a_run_until_its_lease_lapses(driver: Driver) -> None:
    driver.accept(RUN)
    first = driver.claim(RUN)

    assert driver.ledger.runs.claim(RUN, "other", state=RunState.ACCEPTED) is None
    driver.lapse_run(RUN)
    second = driver.claim(RUN)

    assert second.fence > first.fence
    assert second.attempts == 1
    assert not driver.ledger.runs.renew(first)
    assert driver.ledger.runs.renew(second)


@pytest.mark.parametrize(("charge", "attempts"), [(True, 1), (False, 0)])
def test_a_released_run_counts_as_a_failed_attempt_only_when_charged(
    driver: Driver, charge: bool, attempts: int
) -> None:
    driver.accept(RUN)

    driver.ledger.runs.release(driver.claim(RUN), delay_seconds=7, charge=charge, reason="why " * 100)

    assert 6 < driver.wait_of(RUN) <= 7
    again = driver.claim(RUN)
    assert again.attempts == attempts
    assert again.last_error == ("why " * 100)[:256]


def test_failed_attempts_to_orchestrate_do_not_count_for_the_finaliser(driver: Driver) -> None:
    driver.accept(RUN)
    driver.ledger.runs.release(driver.claim(RUN), charge=True, reason="why")
    driver.arm(driver.claim(RUN), ())

    claim = driver.claim(RUN, RunState.READY)

    assert (claim.attempts, claim.last_error) == (0, "")


def test_a_run_is_only_claimed_in_the_state_asked_for(driver: Driver) -> None:
    driver.accept(RUN)

    assert driver.ledger.runs.claim(RUN, "me", state=RunState.READY) is None
    assert driver.ledger.runs.claim("unknown", "me", state=RunState.ACCEPTED) is None


def test_the_first_note_of_a_field_stands(driver: Driver) -> None:
    driver.accept(RUN)
    first = driver.claim(RUN)
    assert driver.ledger.runs.journal(first, {"create:id": "one"})["create:id"] == "one"
    driver.lapse_run(RUN)
    second = driver.claim(RUN)

    assert driver.ledger.runs.journal(second, {"create:id": "two"})["create:id"] == "one"
    assert second.journal == {"create:id": "one"}
    with pytest.raises(LeaseLost):
        driver.ledger.runs.journal(first, {"create:id": "three"})


def test_finish_by_a_non_holder_is_refused(driver: Driver) -> None:
    driver.ready(RUN)
    stale = driver.claim(RUN, RunState.READY)
    driver.lapse_run(RUN)
    owner = driver.claim(RUN, RunState.READY)
    before = driver.exact(RUN)

    assert not driver.finish(stale)
    assert driver.exact(RUN) == before
    assert driver.finish(owner)


def test_finish_in_another_state_than_asked_for_is_refused(driver: Driver) -> None:
    driver.accept(RUN)
    claim = driver.claim(RUN)

    assert not driver.finish(claim, state=RunState.READY)
    assert driver.ledger.runs.final(RUN) is None


def test_stop_is_seen_by_every_later_claim_and_never_reopens_a_run(driver: Driver) -> None:
    driver.armed(RUN, (1, 1))
    early = driver.claim_batch(RUN, 0)

    driver.ledger.runs.request_stop(RUN)

    assert not early.stop
    assert driver.ledger.batches.start_file(early, 1)
    assert driver.claim_batch(RUN, 1).stop
    driver.done("finished")
    before = driver.exact("finished")
    for run in ("unknown", "finished"):
        driver.ledger.runs.request_stop(run)
    assert driver.exact("finished") == before
    assert driver.ledger.runs.state("unknown") is None


def test_ok_failed_and_skipped_add_up_to_the_total(driver: Driver) -> None:
    kinds = [
        OutcomeKind.COMPLETED,
        OutcomeKind.ERROR,
        OutcomeKind.SKIPPED,
        OutcomeKind.COMPLETED,
        OutcomeKind.ERROR,
    ]
    driver.armed(RUN, (3, 2))
    for batch in (1, 0):
        claim = driver.claim_batch(RUN, batch)
        for item in claim.files:
            driver.record(claim, item.number, kinds[item.number - 1])
        driver.ledger.batches.complete(claim)

    outcomes = list(driver.ledger.runs.outcomes(RUN))

    assert [outcome.number for outcome in outcomes] == [1, 2, 3, 4, 5]
    assert [outcome.kind for outcome in outcomes] == kinds
    total = driver.claim(RUN, RunState.READY).context.total_files
    assert sum(sum(outcome.kind is kind for outcome in outcomes) for kind in OutcomeKind) == total


def test_copies_count_as_uploads_of_their_own() -> None:
    outcome = FileOutcome(number=1, name="a", kind=OutcomeKind.COMPLETED, copies=("b", "c"))

    assert outcome.uploads == 3


def test_every_organization_that_ever_had_a_run_is_remembered(driver: Driver) -> None:
    assert driver.ledger.runs.organizations() == frozenset()
    driver.done(RUN)
    driver.ledger.runs.accept("run-b", task=RunTask.WEBHOOK, kind=RunKind.ETL, organization_id="org_2", start="{}")

    assert driver.ledger.runs.organizations() == {"org_1", "org_2"}


@pytest.mark.parametrize(("released", "marks"), [(False, {"marks:1": "[]"}), (True, {})])
def test_a_claim_for_finalising_brings_nothing_that_only_the_start_needed(
    driver: Driver, *, released: bool, marks: dict[str, str]
) -> None:
    kept = {"results": "written", "notified:1": "row", "marks released": "yes"}
    if not released:
        del kept["marks released"]
    driver.accept(RUN, start='{"files": []}')
    claim = driver.claim(RUN, token="me")
    starting = {"files": "[]", "before": "[]", "row:1": "row-1", "row:2": "row-2", "marks:1": "[]"}
    driver.ledger.runs.journal(claim, starting | kept)
    orchestrating = driver.claim(RUN, token="me")
    driver.arm(claim, ())

    finalising = driver.claim(RUN, RunState.READY)

    assert (orchestrating.start, orchestrating.journal) == ('{"files": []}', starting | kept)
    assert (finalising.start, finalising.journal) == ("{}", kept | marks)
    assert driver.redis.hlen(f"uw:{{{RUN}}}:journal") == len(starting | kept)


def test_a_run_that_was_accepted_for_finalising_brings_its_message(driver: Driver) -> None:
    driver.accept(RUN, start='{"results": []}', task=RunTask.CHORD_CALLBACK, state=RunState.READY)

    assert driver.claim(RUN, RunState.READY).start == '{"results": []}'
