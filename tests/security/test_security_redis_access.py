"""S4: the workers need only the commands and keys that core's README grants, and nothing dangerous is among them."""

import re
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "packages/unstract-worker-core/src/unstract_worker_core/ledger/scripts"

FORBIDDEN = {
    "FLUSHALL": ("FLUSHALL",),
    "FLUSHDB": ("FLUSHDB",),
    "CONFIG": ("CONFIG", "GET", "*"),
    "KEYS": ("KEYS", "*"),
    "SCAN": ("SCAN", "0"),
    "SHUTDOWN": ("SHUTDOWN", "NOSAVE"),
    "SAVE": ("SAVE",),
    "REPLICAOF": ("REPLICAOF", "NO", "ONE"),
    "MONITOR": ("MONITOR",),
    "ACL": ("ACL", "LIST"),
    "CLIENT LIST": ("CLIENT", "LIST"),
    "FUNCTION": ("FUNCTION", "FLUSH"),
    "PUBLISH": ("PUBLISH", "/0.celery.pidbox", "x"),
    "MODULE": ("MODULE", "LIST"),
}
OTHERS_KEYS = {"broker": "uw:due", "ledger": "celery", "platform": "uw:due"}


def refused(client, *command: str) -> bool:
    try:
        client.execute_command(*command)
    except NoPermissionError:
        return True
    return False


@pytest.fixture
def refusals_of_a_test(ground):
    """What the fleet was refused is looked at first: the log is emptied of what this test is refused."""
    assert denied(ground) == []
    yield
    ground.database(0).acl_log_reset()


@pytest.mark.usefixtures("refusals_of_a_test")
@pytest.mark.parametrize("role", OTHERS_KEYS)
def test_s4_a_role_has_no_dangerous_command_and_no_key_of_another(ground, role):
    with ground.user(role) as client:
        client.ping()
        for name, command in FORBIDDEN.items():
            assert refused(client, *command), f"{role} may use {name}"
        for key in (OTHERS_KEYS[role], "sessions:of-somebody-else"):
            assert refused(client, "GET", key), f"{role} may read {key}"


def test_s4_every_command_of_the_ledgers_scripts_is_granted(ground):
    asked = {
        name.lower()
        for path in SCRIPTS.glob("*.lua")
        for name in re.findall(r'redis\.p?call\("(\w+)"', path.read_text())
    }
    assert len(asked) > 10
    assert {f"+{name}" for name in asked} <= set(ground.granted["ledger"].split())


def test_s4_the_fleet_was_refused_nothing(ground, tenant):
    """Whatever the tests of this folder made the fleet do so far, and runs of both kinds here."""
    tenant.works()
    pipeline = tenant.etl("least", {"a.txt": "Total: 2"})
    row = tenant.ended(tenant.platform.trigger(pipeline))
    assert row.status == "COMPLETED"
    assert denied(ground) == []


def denied(ground) -> list[tuple[str, str]]:
    # redis-py tells its own version where the server has the command for it, and goes on where it may not.
    return [
        (entry["username"], entry["object"])
        for entry in ground.database(0, text=True).acl_log()
        if entry["object"] != "client|setinfo"
    ]
