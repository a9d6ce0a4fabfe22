"""What core's README grants each role's Redis user is enough where the acceptance does not go: rescue, refusal, check."""

import json
import subprocess
import sys
import time

import pytest

from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, running_fleet
from unstract_devstack.grounds import granted, running_ground
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import inherited_environment, wait_until
from unstract_devstack.producer import Producer
from unstract_devstack.stack import running_stack
from unstract_devstack.today.scenario import new_tenant

SECONDS = 90.0
QUEUE = "celery_api_deployments"
SETTINGS = {"WORKER_SWEEP_SECONDS": "0.5", "WORKER_RECHECK_SECONDS": "2", "WORKER_DRAIN_SECONDS": "8"}
pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("least")
    with (
        running_ground("redis-least", folder / "ground", grants=granted()) as ground,
        running_stack(folder, workers=(), settings={**SETTINGS, **ground.settings}, redis=ground.redis) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def nothing_refused(stack):
    """Redis' own word: it refused none of the three users anything but redis-py's introduction."""
    with stack.redis.client() as administrator:
        administrator.acl_log_reset()
        yield
        refused = {(each["username"], each["object"]) for each in administrator.acl_log()}
    assert {each for each in refused if each[1] != "client|setinfo"} == set()


def abandon(stack) -> None:
    """The next start message as a worker leaves it that took it, noted it and was killed, a while ago."""
    with stack.redis.client() as administrator:
        assert wait_until(lambda: administrator.llen(QUEUE) == 1, seconds=SECONDS)
        item = json.loads(administrator.rpop(QUEUE))
        # By a producer that names its exchange: the way back is looked up in kombu's table of bindings.
        administrator.hset("uw_unacked", "a-tag", json.dumps([item, QUEUE, QUEUE]))
        administrator.zadd("uw_unacked_index", {"a-tag": time.time() - 3600})


def test_what_a_killed_worker_held_is_given_back(stack, tmp_path):
    tenant = new_tenant(stack.backend.public_url, stack.backend.api_key, tmp_path)
    tenant.api()
    execution = tenant.send({"a.txt": b"Total: 1"})
    abandon(stack)
    kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    with running_fleet(stack.environment, tmp_path / "logs", kinds=kinds) as fleet:
        seen = tenant.ended(execution, api="extract")
        fleet.check()
    assert (seen.status, seen.executed) == ("COMPLETED", 1)


def test_a_message_that_cannot_be_processed_is_put_aside(stack, tmp_path):
    producer = Producer(stack.redis.url)
    try:
        producer.send("no_such_task", [], {}, QUEUE)
    finally:
        producer.close()
    with running_fleet(stack.environment, tmp_path / "logs", kinds=(API_DEPLOYMENT,)), stack.redis.client() as client:
        assert wait_until(lambda: client.llen("uw:dead_letters") == 1, seconds=SECONDS)


@pytest.mark.parametrize("worker", ["api_deployment", "general", "file_processing", "callback"])
def test_check_finds_nothing_to_complain_of(stack, worker):
    platform = Platform(stack.backend.public_url, stack.backend.api_key, "org_least")
    platform.set_up_organization()
    environment = {**inherited_environment(), **stack.environment}
    command = (sys.executable, "-m", f"unstract_worker_{worker}", "check", "--organization", "org_least", "--json")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)
    lines = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    # What general says about the platform's clean-up task is about CHORD_COMPAT, not about access.
    others = [line for line in lines["lines"] if line["subject"] != "celery.backend_cleanup"]
    assert [line for line in others if line["status"] != "ok"] == []
