"""What an operator sees of the ledger, and his one step: look at it again now."""

from collections.abc import Callable

import pytest
from redis import Redis

from unstract_worker_core.ledger import DeadLetter, OutcomeKind, RunState, RunTask
from unstract_worker_core.ledger.operator import Operator, owner_of
from unstract_worker_core.ledger.views import Retried

from .driver import Driver

RUN, OTHER = "run-a", "run-b"


@pytest.fixture
def operator(redis: Redis) -> Operator:
    return Operator(redis)


def accepted(driver: Driver) -> None:
    driver.accept(RUN)
    driver.ledger.runs.release(driver.claim(RUN), charge=True, reason="no")


def armed(driver: Driver) -> None:
    driver.armed(RUN, (2, 1))


def half_done(driver: Driver) -> None:
    driver.armed(RUN, (2, 1, 1))
    driver.work_off(driver.claim_batch(RUN, 1))
    driver.ledger.batches.start_file(driver.claim_batch(RUN, 0, token="host-1:77:aaaa"), 1)


def ready(driver: Driver) -> None:
    driver.ready(RUN, (1,))


def done(driver: Driver) -> None:
    driver.done(RUN, (1,))


def unknown(driver: Driver) -> None:
    """Nothing is there."""


CASES = (accepted, armed, half_done, ready, done, unknown)


def test_a_run_is_shown_with_its_batches_owners_and_times(driver: Driver, operator: Operator) -> None:
    half_done(driver)
    detail = operator.detail(RUN)
    assert detail is not None
    run = detail.run
    assert (run.state, run.batches, run.done, run.attempts, run.stop) == (RunState.ARMED, 3, 1, 0, False)
    assert run.owners == ("host-1:77",)
    assert run.next_look is not None
    assert (detail.workflow_id, detail.total_files, detail.epoch) == ("workflow-1", 4, 1)
    first, second, third = detail.batches
    assert (first.files, first.recorded, first.done, first.owner, first.file_in_flight) == (
        (1, 2),
        0,
        False,
        "host-1:77",
        1,
    )
    assert first.lease_seconds is not None
    assert 0 < first.lease_seconds <= 60
    assert (second.files, second.recorded, second.done, second.owner, second.next_ring) == ((3,), 1, True, "", None)
    assert (third.done, third.owner, third.rung) == (False, "", 1)


def test_a_run_says_which_files_wait_for_an_executors_answer(driver: Driver, operator: Operator, redis: Redis) -> None:
    driver.armed(RUN, (1, 1, 1, 1, 1))
    claims = [driver.claim_batch(RUN, batch) for batch in range(5)]
    for number, claim in enumerate(claims[:4], start=1):
        driver.intend(claim, number, "a", wait=60)
    driver.ledger.requests.published(claims[0], 1, "a", wait_seconds=600)
    driver.answer(RUN, 3, batch=2)
    driver.work_off(claims[3])

    for view in (operator.view(RUN), operator.page(limit=1).runs[0], getattr(operator.detail(RUN), "run", None)):
        assert view is not None
        pending = sorted(view.answers_pending, key=lambda each: each.number)
        assert [(each.number, each.published) for each in pending] == [(1, True), (2, False)]
        assert all(0 <= each.age < 30 for each in pending)
        assert [round(each.left + each.age) for each in pending] == [600, 60]

    driver.lapse_request(RUN, 2)
    again = operator.view(RUN)
    assert again is not None
    assert [each.number for each in again.answers_pending] == [1]
    redis.hset(f"uw:{{{RUN}}}:requests", mapping={str(number): "{}" for number in range(10, 2011)})
    many = operator.view(RUN)
    assert many is not None
    assert many.answers_pending == ()


def test_a_lapsed_lease_has_no_owner(driver: Driver, operator: Operator) -> None:
    half_done(driver)
    driver.lapse_batch(RUN, 0)
    detail = operator.detail(RUN)
    assert detail is not None
    assert detail.run.owners == ()
    assert detail.batches[0].owner == ""


def test_a_finished_run_is_shown_by_its_tombstone(driver: Driver, operator: Operator) -> None:
    done(driver)
    detail = operator.detail(RUN)
    assert detail is not None
    assert detail.run.state is RunState.DONE
    assert detail.final is not None
    assert (detail.final.status, detail.final.successful_files) == ("COMPLETED", 2)
    assert detail.done_ago is not None
    assert operator.detail("nobody") is None
    assert operator.view("nobody") is None


def test_pages_hold_every_open_run_once_and_no_finished_one(driver: Driver, operator: Operator) -> None:
    driver.done("finished", (1,))
    for number in range(7):
        driver.accept(f"run-{number}")
    seen, offset = [], 0
    while True:
        page = operator.page(limit=3, offset=offset)
        assert page.open == 7
        assert len(page.runs) <= 3
        seen += [run.run_id for run in page.runs]
        if page.next_offset is None:
            break
        offset = page.next_offset
    assert sorted(seen) == [f"run-{number}" for number in range(7)]


def test_the_longest_due_run_comes_first(driver: Driver, operator: Operator) -> None:
    driver.accept(RUN)
    driver.accept(OTHER)
    driver.make_due(OTHER)
    page = operator.page(limit=10)
    assert [run.run_id for run in page.runs] == [OTHER, RUN]
    assert page.runs[0].next_look is not None
    assert page.runs[0].next_look < 0


def test_ten_thousand_open_runs_are_read_a_page_at_a_time(driver: Driver, operator: Operator, redis: Redis) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            run = f"many-{number}"
            meta = {"state": "ACCEPTED", "task": "execution", "kind": "api", "organization": f"org_{number % 100}"}
            pipe.hset(f"uw:{{{run}}}:meta", mapping=meta)
            pipe.sadd("uw:open", run)
            pipe.zadd("uw:due", {run: number})
        pipe.execute()
    redis.config_resetstat()
    page = operator.page(limit=50)
    calls = {name.removeprefix("cmdstat_"): reported["calls"] for name, reported in redis.info("commandstats").items()}
    assert (len(page.runs), page.open, page.next_offset) == (50, 10_000, 50)
    assert sum(calls.values()) < 1100  # one chunk of the index, not ten thousand runs
    assert not {"keys", "scan", "smembers"} & set(calls)
    rare = operator.page(limit=200, wanted=lambda run: run.organization_id == "org_7")
    assert (len(rare.runs), rare.next_offset) == (100, None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_a_retry_run_twice_equals_run_once_and_touches_no_other_run(
    driver: Driver, operator: Operator, case: Callable[[Driver], None]
) -> None:
    driver.armed(OTHER, (2, 1))
    case(driver)
    others = driver.exact(OTHER)
    operator.retry(RUN)
    once = driver.dump(RUN)
    operator.retry(RUN)
    assert driver.dump(RUN) == once
    assert driver.exact(OTHER) == others


def test_a_retry_forgets_failed_attempts_and_makes_the_run_due(driver: Driver, operator: Operator) -> None:
    accepted(driver)
    assert operator.retry(RUN) == Retried(RunState.ACCEPTED, 0)
    assert driver.meta(RUN)["attempts"] == "0"
    assert driver.look(RUN).action == "orchestrate"


def test_a_retry_rings_for_waiting_batches_whatever_is_in_the_queue_and_leaves_live_leases(
    driver: Driver, operator: Operator
) -> None:
    half_done(driver)
    assert driver.look_when_due(RUN, waiting=1000).batches == ()  # a backlog is no loss
    assert operator.retry(RUN) == Retried(RunState.ARMED, 1)
    assert driver.look(RUN, waiting=1000).batches == (2,)
    assert driver.lease(RUN, 0)["owner"] == "host-1:77:aaaa"


def test_a_retry_keeps_what_a_file_was_charged(driver: Driver, operator: Operator) -> None:
    half_done(driver)
    driver.lapse_batch(RUN, 0)
    driver.claim_batch(RUN, 0)
    operator.retry(RUN)
    assert driver.charges(RUN) == {"1": "1"}


def test_a_retry_leaves_a_run_that_is_being_worked_on_to_its_owner(driver: Driver, operator: Operator) -> None:
    driver.accept(RUN)
    driver.claim(RUN)
    due = driver.wait_of(RUN)
    assert operator.retry(RUN) == Retried(RunState.ACCEPTED, 1)
    assert driver.wait_of(RUN) == pytest.approx(due, abs=5)


def test_unclaimed_doorbells_are_still_counted_right_after_a_retry(driver: Driver, operator: Operator) -> None:
    driver.armed(RUN, (1, 1))
    operator.retry(RUN)
    driver.look(RUN)
    for batch in (0, 1):
        driver.work_off(driver.claim_batch(RUN, batch), OutcomeKind.COMPLETED)
    assert driver.unclaimed("etl") == 0


def test_a_retry_of_a_finished_or_unknown_run_does_nothing(driver: Driver, operator: Operator) -> None:
    done(driver)
    before = driver.exact(RUN)
    assert operator.retry(RUN) == Retried(RunState.DONE, 0)
    assert operator.retry("nobody") == Retried(None, 0)
    assert driver.exact(RUN) == before
    assert driver.keys("nobody") == []


def test_letters_are_found_by_id_and_removed_once(driver: Driver, redis: Redis) -> None:
    letters = driver.ledger.dead_letters
    for number in range(3):
        letters.add(DeadLetter("a.task", "a_queue", "no", task_id=str(number)))
    kept = list(letters.stored())
    assert [each.letter.task_id for each in kept] == ["2", "1", "0"]
    assert letters.matching(kept[1].id[:6]) == (kept[1],)
    letters.remove(kept[1])
    letters.remove(kept[1])
    assert letters.matching(kept[1].id) == ()
    assert letters.count() == 2


def test_webhooks_are_listed_by_their_task(driver: Driver, operator: Operator) -> None:
    driver.accept("webhook.1", task=RunTask.WEBHOOK)
    page = operator.page(limit=5, wanted=lambda run: run.task is RunTask.WEBHOOK)
    assert [run.run_id for run in page.runs] == ["webhook.1"]


def test_the_owner_of_a_token_is_its_instance_and_process() -> None:
    assert owner_of("worker-7:42:0123abcd") == "worker-7:42"
    assert owner_of("me") == "me"


def test_the_beginning_of_an_id_names_a_run(driver: Driver, operator: Operator) -> None:
    for run in ("abcd-1", "abcd-12", "abce-1"):
        driver.accept(run)
    driver.done("abcd-done", (1,))
    driver.done("gone-9", (1,))

    assert operator.matching("abcd-1") == ("abcd-1",)  # an id, and the beginning of another
    assert operator.matching("abcd") == ("abcd-1", "abcd-12")  # open runs first
    assert operator.matching("abce") == ("abce-1",)
    assert operator.matching("gone") == ("gone-9",)
    for nothing in ("", "abc*", "nobody", "????"):
        assert operator.matching(nothing) == ()


def test_a_finished_run_is_named_in_full_where_keys_may_not_be_listed(
    driver: Driver, operator: Operator, redis: Redis
) -> None:
    driver.done("gone-9", (1,))
    redis.acl_setuser("few", enabled=True, nopass=True, keys="uw:*", commands=["+@all", "-scan"])
    try:
        at = redis.connection_pool.connection_kwargs
        few = Operator(Redis(at["host"], at["port"], at["db"], username="few", password="x", decode_responses=True))
        assert few.matching("gone-9") == ("gone-9",)
        assert few.matching("gone") == ()
    finally:
        redis.acl_deluser("few")


@pytest.mark.parametrize("field", ["state", "task", "kind"])
def test_a_run_that_a_later_version_wrote_does_not_hide_the_others(driver: Driver, operator: Operator, field: str):
    driver.accept(RUN)
    driver.accept(OTHER)
    driver.redis.hset(f"uw:{{{OTHER}}}:meta", field, "OF_LATER")
    assert [run.run_id for run in operator.page(limit=10).runs] == [RUN]
    assert operator.view(OTHER) is None
