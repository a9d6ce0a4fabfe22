"""A backend of four threads, all held by API callers that wait: nothing is lost or done twice, and all goes on after."""

import threading

import pytest

from unstract_devstack.fleet import API_DEPLOYMENT
from unstract_devstack.http_calls import CallFailed, call, call_json
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import running_stack

THREADS = 4
WAIT_SECONDS = 8
# Calls give up while the threads are held, as they do in an installation whose callers wait for minutes.
SETTINGS = {
    "WORKER_LEASE_SECONDS": "6",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_MAX_RING_WAIT": "4",
    "WORKER_RECHECK_SECONDS": "2",
    "INTERNAL_API_TIMEOUT": "2",
    "INTERNAL_API_TOTAL_TIMEOUT": "4",
    "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "1",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder, options = tmp_path_factory.mktemp("starved"), ("--shared-threads", str(THREADS))
    with running_stack(folder, settings=SETTINGS, backend_options=options) as running:
        yield running


def sent_and_waited(url, number):
    """What a caller gets who sends two files and waits."""
    files = [("files", (f"{number}-{name}.txt", f"Total: {number} {name}".encode())) for name in "ab"]
    reply = call("POST", url, form={"timeout": str(WAIT_SECONDS)}, files=files, timeout=120)
    return reply.status, reply.json()["message"]


def test_callers_that_hold_every_thread_are_released_and_their_runs_end_once(stack, tenant_of):
    tenant = tenant_of(stack)
    tenant.api()
    url, reported = tenant.platform.api_url("extract"), {}

    def wait(number):
        reported[number] = sent_and_waited(url, number)

    callers = [threading.Thread(target=wait, args=(number,)) for number in range(THREADS)]
    (worker,) = stack.fleet.of(API_DEPLOYMENT)
    with worker.process.frozen():  # until all callers are there: a run that ends at once would let its caller go
        for caller in callers:
            caller.start()
        assert wait_until(lambda: len(tenant.platform.executions()) == THREADS, seconds=30)
        with pytest.raises(CallFailed):  # the internal API queues behind them
            call_json("GET", f"{stack.backend.internal_url}/v1/health/", key=stack.backend.api_key, timeout=0.5)
    for caller in callers:
        caller.join(120)
    assert sorted(reported) == list(range(THREADS))
    for number, (status, message) in reported.items():
        row = tenant.ended(message["execution_id"])
        assert (row.status, row.total, row.successful) == ("COMPLETED", 2, 2)
        items = (
            message["result"]
            if status == 200 and message["result"]
            else tenant.platform.results("extract", row.id).items
        )
        assert sorted(item["file"] for item in items) == [f"{number}-a.txt", f"{number}-b.txt"]
        assert tenant.executed(row.id) == 2
        assert tenant.terminal_writes(row.id) == ["COMPLETED"]
    assert tenant.run([tenant.upload("after.txt", "Total: 1")]).status == "COMPLETED"
