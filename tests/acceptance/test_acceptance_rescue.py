"""The ledger's Redis is wiped in the middle of runs: with the rescue switched on nothing stays EXECUTING for ever."""

import pytest
import redis

from unstract_devstack.stack import running_stack

SETTINGS = {
    "WORKER_LEASE_SECONDS": "3",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "2",
    "RESCUE_UNSEEN_AFTER": "4",
}


@pytest.fixture(scope="module")
def wiped_stack(tmp_path_factory):
    with running_stack(
        tmp_path_factory.mktemp("wiped"), settings=SETTINGS, backend_options=("--file-delay", "0.4")
    ) as stack:
        yield stack


def wipe(stack):
    client = redis.Redis.from_url(stack.redis.url)
    client.flushall()
    client.close()


def test_a_wiped_api_run_ends_in_error_and_a_pipeline_is_run_again(wiped_stack, tenant_of, tmp_path, eventually):
    tenant = tenant_of(wiped_stack)
    tenant.api()
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"{number}.txt").write_text(f"Total: {number}")
    pipeline = tenant.etl(source, "wiped", use_file_history=True)
    # A run that ended before tells the rescue which organization to look at.
    assert tenant.run([tenant.upload("before.txt", "Total: 0")]).status == "COMPLETED"
    files = [tenant.upload(f"{number}.txt", f"Total: {number}") for number in range(6)]
    api_id = tenant.platform.send_files("extract", files, use_file_history=False)
    etl_id = tenant.platform.trigger(pipeline)
    eventually(lambda: tenant.executed(api_id) >= 1 and tenant.executed(etl_id) >= 1)

    wipe(wiped_stack)

    api, etl = tenant.ended(api_id), tenant.ended(etl_id)
    assert api.status == "ERROR"
    assert "start message lost" in api.error
    assert etl.status == "COMPLETED"
    assert len(set(tenant.platform.destination_paths("wiped"))) == 6
