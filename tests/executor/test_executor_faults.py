"""The executor `platform` under faults: nothing is lost, and with kills only on our side each file is paid for once."""

import pytest

from unstract_devstack.executor import Fault
from unstract_devstack.processes import wait_until

pytestmark = pytest.mark.timeout(600)

ANSWERS, LATE = "uw_executor_answers", "a late answer is dropped"
# After it: what is away, or, once that was so several times, that the executor is left alone.
PUT_OFF = "put off: file "
FILES = tuple(f"{number}.txt" for number in range(8))


def once(tenant, execution_id, number):
    bill = tenant.extractions(execution_id)
    assert (len(bill), set(bill.values())) == (number, {1})


def test_files_get_their_results_and_each_is_extracted_once(tenant):
    execution_id = tenant.send(*FILES)

    tenant.whole(execution_id, 8)
    once(tenant, execution_id, 8)
    assert wait_until(lambda: tenant.fleet.kept_for_ever(execution_id) == [], seconds=60)


def test_a_killed_file_worker_pays_for_no_file_twice(tenant):
    """SIGKILL while files are being extracted and answered, twice: a third one may be the last try of a file."""
    tenant.fleet.bill.add(Fault("delay", seconds=1.0), count=12)
    execution_id = tenant.send(*(f"{number}.txt" for number in range(16)))
    for after in (1, 7):
        tenant.sent(execution_id, after)
        tenant.fleet.kill()
        assert wait_until(lambda: tenant.fleet.waiting(ANSWERS) > 0, seconds=30), "no answer came while no worker lived"
        tenant.fleet.start()
        tenant.fleet.ready()

    tenant.whole(execution_id, 16)
    once(tenant, execution_id, 16)


def test_answers_that_come_while_no_file_worker_lives_are_kept(tenant):
    tenant.fleet.bill.add(Fault("delay", seconds=2.0), count=4)
    execution_id = tenant.send("a.txt", "b.txt", "c.txt", "d.txt")
    tenant.sent(execution_id, 4)
    tenant.fleet.kill()
    assert wait_until(lambda: tenant.fleet.waiting(ANSWERS) == 4, seconds=60)
    tenant.fleet.start()

    tenant.whole(execution_id, 4)
    once(tenant, execution_id, 4)


def test_an_answer_that_is_lost_is_asked_for_again_when_its_time_is_over(redis_tenant):
    redis_tenant.fleet.bill.add(Fault("lose", name="lost.txt"))
    with redis_tenant.fleet.impatient():
        execution_id = redis_tenant.send("lost.txt", "kept.txt")

        redis_tenant.whole(execution_id, 2)

    assert sorted(redis_tenant.extractions(execution_id).values()) == [1, 2]


def test_a_file_that_is_never_answered_is_given_up_with_its_reason(redis_tenant):
    redis_tenant.fleet.bill.add(Fault("lose", name="never.txt"), count=3)
    with redis_tenant.fleet.impatient():
        execution_id = redis_tenant.send("never.txt", "kept.txt")

        row = redis_tenant.ended(execution_id)

    assert (row.status, row.successful, row.failed) == ("COMPLETED", 1, 1)
    assert any("given up after 3 tries" in (file.error or "") for file in row.files)
    assert sorted(redis_tenant.extractions(execution_id).values()) == [1, 3]


@pytest.mark.parametrize("kind", ["repeat", "delay"])
def test_an_answer_that_is_repeated_or_late_counts_once(tenant, kind):
    tenant.fleet.bill.add(Fault(kind, seconds=3.0), count=2)
    execution_id = tenant.send("a.txt", "b.txt")

    tenant.whole(execution_id, 2)
    once(tenant, execution_id, 2)


def test_an_executor_that_is_killed_loses_no_file(rabbit_tenant):
    """Its own death is its own bill: the broker gives it the request again."""
    rabbit_tenant.fleet.bill.add(Fault("kill", name="deadly.txt"))
    execution_id = rabbit_tenant.send("deadly.txt", "other.txt")
    executor = rabbit_tenant.fleet.executor
    assert executor.process.wait(seconds=60)
    executor.restart()

    rabbit_tenant.whole(execution_id, 2)

    assert max(rabbit_tenant.extractions(execution_id).values()) <= 3


def test_an_executor_that_is_not_there_is_waited_for(tenant):
    executor = tenant.fleet.executor
    executor.process.stop()
    execution_id = tenant.send("a.txt")
    assert wait_until(lambda: "file 1 waits for the executor's answer" in tenant.reason(execution_id), seconds=60)
    executor.restart()

    tenant.whole(execution_id, 1)
    once(tenant, execution_id, 1)


def test_a_stop_ends_the_run_although_an_answer_is_out_and_the_answer_is_dropped(redis_tenant):
    bill = redis_tenant.fleet.bill
    bill.add(Fault("delay", seconds=45.0, name="slow.txt"))
    for name in FILES:  # so that other batches are still at work when it is stopped, and see it
        bill.add(Fault("delay", seconds=8.0, name=name))
    execution_id = redis_tenant.send("slow.txt", *FILES)
    redis_tenant.sent(execution_id, name="slow.txt")
    late = redis_tenant.fleet.said(LATE)
    redis_tenant.platform.stop(execution_id)

    row = redis_tenant.ended(execution_id)

    assert row.status == "STOPPED"
    assert wait_until(lambda: redis_tenant.fleet.said(LATE) > late, seconds=60)  # to a run that is over
    assert redis_tenant.platform.execution(execution_id).status == "STOPPED"
    after = redis_tenant.send("after.txt")
    redis_tenant.whole(after, 1)


def test_a_store_that_is_silent_for_a_while_puts_files_off(tenant):
    with tenant.fleet.store.process.frozen():
        execution_id = tenant.send(*FILES)
        assert wait_until(lambda: PUT_OFF in tenant.reason(execution_id), seconds=60)
        assert tenant.extractions(execution_id).total() == 0

    tenant.whole(execution_id, 8)
    once(tenant, execution_id, 8)


def test_a_store_that_is_away_for_a_while_puts_files_off(tenant):
    """Its connections are refused."""
    store = tenant.fleet.store
    store.process.stop()
    try:
        execution_id = tenant.send(*FILES)
        assert wait_until(lambda: PUT_OFF in tenant.reason(execution_id), seconds=60)
        assert tenant.extractions(execution_id).total() == 0
    finally:
        store.start()

    tenant.whole(execution_id, 8)
    once(tenant, execution_id, 8)


@pytest.mark.parametrize("status", [500, 503])
def test_a_platform_service_that_fails_for_a_while_puts_files_off(tenant, status):
    service = tenant.fleet.executor.service
    service.status = status
    try:
        execution_id = tenant.send("a.txt", "b.txt")
        assert wait_until(lambda: PUT_OFF in tenant.reason(execution_id), seconds=60)
        assert tenant.extractions(execution_id).total() == 0
    finally:
        service.status = None

    tenant.whole(execution_id, 2)
    once(tenant, execution_id, 2)


def test_a_platform_service_that_is_slow_is_waited_for(tenant):
    service = tenant.fleet.executor.service
    service.delay = 3.0
    try:
        execution_id = tenant.send("a.txt", "b.txt")
        tenant.whole(execution_id, 2)
    finally:
        service.delay = 0.0
    once(tenant, execution_id, 2)


def test_a_tool_that_platform_service_does_not_know_fails_with_what_to_do(tenant):
    service = tenant.fleet.executor.service
    known, service.tools = service.tools, {}
    try:
        row = tenant.ended(tenant.send("a.txt"))
    finally:
        service.tools = known

    assert row.status == "ERROR"
    assert "export it again" in (row.files[0].error or "")


def test_rabbitmq_may_restart_in_the_middle_of_a_run(rabbit_tenant):
    rabbitmq = rabbit_tenant.fleet.rabbitmq
    rabbit_tenant.fleet.bill.add(Fault("delay", seconds=1.0), count=8)
    execution_id = rabbit_tenant.send(*(f"{number}.txt" for number in range(16)))
    rabbit_tenant.sent(execution_id, 3)
    rabbitmq.kill()
    rabbitmq.start()

    rabbit_tenant.whole(execution_id, 16)

    bill = rabbit_tenant.extractions(execution_id)
    assert len(bill) == 16
    assert max(bill.values()) <= 3  # what the broker itself gives out again, or loses, is another extraction


def test_no_secret_of_the_store_is_logged(tenant):
    execution_id = tenant.send("a.txt")
    tenant.whole(execution_id, 1)

    logs = [path.read_text(errors="replace") for path in tenant.fleet.stack.directory.rglob("logs/*.log")]
    assert logs
    assert not any("canary-of-the-store" in text for text in logs)
