"""Requests and answers that are lost, repeated or late, and file workers that die between the steps that make them."""

import json

import pytest

from unstract_devstack.executor import Fault
from unstract_devstack.executor.worker import QUEUE
from unstract_devstack.processes import wait_until

pytestmark = pytest.mark.timeout(600)

ANSWERS = "uw_executor_answers"
# From the journal to the outcome, in the order in which a file gets there.
POINTS = (
    "executor.prepare.before", "executor.prepare.after", "ledger.intend_request.after", "executor.send.after",
    "ledger.note_published.after", "ledger.await_answer.after", "ledger.record_answer.before",
    "ledger.record_answer.after", "executor.conclude.before", "executor.conclude.after", "ledger.note_executed.after",
    "ledger.complete_batch.before", "ledger.complete_batch.after",
)  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_on_rabbitmq_too_a_kill_between_two_steps_costs_no_extraction(rabbit_tenant, point):
    """`hatch run faults:crash-points` has the same on Redis."""
    fleet = rabbit_tenant.fleet
    fleet.kill()
    fleet.start(WORKER_CRASH_POINT=point, WORKER_CRASH_TESTING="1")
    execution_id = rabbit_tenant.send("a.txt", "b.txt")
    fleet.died_at(point)
    fleet.start()

    rabbit_tenant.whole(execution_id, 2)
    assert sorted(rabbit_tenant.extractions(execution_id).values()) == [1, 1]


def test_an_answer_whose_time_was_over_before_a_file_worker_came_back_is_taken(tenant):
    """Killed between the sending and its note, away for longer than an unsent request is waited for."""
    fleet = tenant.fleet
    fleet.kill()
    fleet.start(WORKER_CRASH_POINT="executor.send.after", WORKER_CRASH_TESTING="1", WORKER_EXECUTOR_UNSENT_TIMEOUT="2")
    execution_id = tenant.send("a.txt")
    fleet.died_at("executor.send.after")
    assert wait_until(lambda: fleet.waiting(ANSWERS) == 1, seconds=60)
    assert wait_until(lambda: _over(fleet, execution_id), seconds=60)
    fleet.start()

    tenant.whole(execution_id, 1)
    assert list(tenant.extractions(execution_id).values()) == [1]


def test_a_request_that_is_lost_is_sent_again_when_its_time_is_over(tenant):
    fleet = tenant.fleet
    fleet.executor.process.stop()
    with fleet.impatient():
        execution_id = tenant.send("a.txt")
        assert wait_until(lambda: fleet.waiting(QUEUE) == 1, seconds=60)
        fleet.purge(QUEUE)
        fleet.executor.restart()

        tenant.whole(execution_id, 1)
    assert list(tenant.extractions(execution_id).values()) == [1]


def test_a_request_that_is_repeated_is_the_executors_bill_and_one_result(redis_tenant):
    fleet = redis_tenant.fleet
    fleet.executor.process.stop()
    late = fleet.said("a late answer is dropped")
    execution_id = redis_tenant.send("a.txt", "b.txt")
    assert wait_until(lambda: fleet.waiting(QUEUE) == 2, seconds=60)
    with fleet.stack.redis.client() as client:
        client.lpush(QUEUE, *client.lrange(QUEUE, 0, -1))
    fleet.executor.restart()

    redis_tenant.whole(execution_id, 2)
    assert sorted(redis_tenant.extractions(execution_id).values()) == [2, 2]
    assert wait_until(lambda: fleet.said("a late answer is dropped") == late + 2, seconds=60)


def test_a_request_that_waits_long_is_not_sent_a_second_time(tenant):
    """Longer than a lease, and past several looks of the sweeper."""
    fleet = tenant.fleet
    fleet.executor.process.stop()
    execution_id = tenant.send("a.txt", "b.txt")
    assert wait_until(lambda: fleet.waiting(QUEUE) == 2, seconds=60)
    fleet.kill()
    fleet.start()
    fleet.ready()
    fleet.bill.add(Fault("delay", seconds=10.0), count=2)
    fleet.executor.restart()

    tenant.whole(execution_id, 2)
    assert sorted(tenant.extractions(execution_id).values()) == [1, 1]


def _over(fleet, execution_id):
    """Whether no request of a run is waited for any longer, by the ledger's clock."""
    with fleet.stack.redis.client() as client:
        requests = client.hvals(f"uw:{{{execution_id}}}:requests")
        seconds, _ = client.time()
    return bool(requests) and all(json.loads(each)["expires"] < seconds * 1000 for each in requests)
