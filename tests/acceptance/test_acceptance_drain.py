"""SIGTERM: a worker finishes or hands back, and nothing is done twice or lost."""

import pytest

from unstract_devstack.fleet import FILE_PROCESSING, WORKERS
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import running_stack


@pytest.fixture(scope="module")
def slow_stack(tmp_path_factory):
    settings = {
        "WORKER_LEASE_SECONDS": "6",
        "WORKER_SWEEP_SECONDS": "0.5",
        "WORKER_FIRST_RING_WAIT": "2",
        "WORKER_RECHECK_SECONDS": "2",
        "WORKER_DRAIN_SECONDS": "10",
        "MAX_PARALLEL_FILE_BATCHES": "2",
    }
    kinds = (*WORKERS, FILE_PROCESSING)
    folder = tmp_path_factory.mktemp("slow")
    with running_stack(folder, workers=kinds, settings=settings, backend_options=("--file-delay", "0.3")) as stack:
        yield stack


def test_a_drained_file_worker_hands_its_rest_to_the_other(slow_stack, tenant_of, eventually):
    tenant = tenant_of(slow_stack)
    tenant.api()
    execution_id = tenant.platform.send_files(
        "extract",
        [tenant.upload(f"{number}.txt", f"Total: {number}") for number in range(20)],
        use_file_history=False,
    )
    eventually(lambda: tenant.executed(execution_id) >= 3)
    drained, _ = slow_stack.fleet.of(FILE_PROCESSING)

    drained.process.terminate()
    assert drained.process.wait(seconds=20)

    assert drained.process.exit_code == 0
    assert wait_until(lambda: tenant.platform.execution(execution_id).status == "COMPLETED", seconds=60)
    row = tenant.platform.execution(execution_id)
    assert (row.total, row.successful, row.failed) == (20, 20, 0)
    assert tenant.executed(execution_id) == 20
    assert tenant.terminal_writes(execution_id) == ["COMPLETED"]
