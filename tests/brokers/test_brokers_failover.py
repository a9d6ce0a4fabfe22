"""One Redis in every role that is demoted, or closes what is idle, under a fleet whose connections stay."""

import contextlib

import pytest

from unstract_devstack.backend_process import running_backend
from unstract_devstack.faults.relay import running_relay
from unstract_devstack.fleet import running_fleet
from unstract_devstack.processes import wait_until
from unstract_devstack.redis_server import running_redis
from unstract_devstack.stack import worker_environment
from unstract_devstack.today.scenario import new_tenant

pytestmark = pytest.mark.timeout(300)

FILES = {f"{number}.txt": b"Total: %d" % number for number in range(6)}


@contextlib.contextmanager
def running(folder, port):
    """A backend and a fleet, each by a relay of its own to the Redis at `port`."""
    with contextlib.ExitStack() as parts:
        workers, platform = (parts.enter_context(running_relay(name, port)) for name in ("workers", "platform"))
        own, url = (f"redis://127.0.0.1:{relay.port}/0" for relay in (workers, platform))
        backend = parts.enter_context(running_backend(folder / "backend", broker_url=url, redis_url=url))
        environment = worker_environment(
            backend_url=backend.internal_url, api_key=backend.api_key, redis_url=own, broker_url=own
        )
        fleet = parts.enter_context(running_fleet(environment, folder / "logs"))
        tenant = new_tenant(backend.public_url, backend.api_key, folder)
        tenant.api()
        yield workers, platform, fleet, tenant


def troubles(fleet):
    """Lines of the fleet's logs about a server that does not answer, or refuses."""
    texts = (worker.process.log_path.read_text() for worker in fleet.workers.values())
    words = ("Redis", "retry_scheduled", "broker", "onnection", "queue depth")
    lines = (line for text in texts for line in text.splitlines() if '"level":"info"' not in line)
    return [line for line in lines if any(word in line for word in words)]


def more_troubles(fleet, client):
    """Whether there are more once every worker has renewed its roles."""

    def renewals():
        return client.info("commandstats").get("cmdstat_pexpire", {"calls": 0})["calls"]

    before, seen = len(troubles(fleet)), renewals()
    assert wait_until(lambda: renewals() > seen + 8, seconds=60)
    return len(troubles(fleet)) > before


def test_the_server_is_demoted_under_connections_that_stay(tmp_path):
    with contextlib.ExitStack() as parts:
        old = parts.enter_context(running_redis(tmp_path / "old"))
        new = parts.enter_context(running_redis(tmp_path / "new", options=(f"replicaof 127.0.0.1 {old.port}",)))
        workers, platform, fleet, tenant = parts.enter_context(running(tmp_path, old.port))
        first, second = parts.enter_context(old.client()), parts.enter_context(new.client())
        before = tenant.ended(tenant.send(FILES), api="extract")
        assert (before.status, before.successful) == ("COMPLETED", 6)
        assert wait_until(lambda: second.info("replication")["master_link_status"] == "up", seconds=30)
        second.replicaof("NO", "ONE")
        first.replicaof("127.0.0.1", new.port)
        workers.target = platform.target = new.port
        platform.hang_up()  # how the platform gets over it is not what is tried
        for _ in range(3):
            after = tenant.ended(tenant.send(FILES), api="extract")
            assert (after.status, after.successful, len(after.items)) == ("COMPLETED", 6, 6)
        # Nothing is refused any more, gauges, roles and heartbeats included: they are written every five seconds.
        assert wait_until(lambda: not more_troubles(fleet, second), seconds=120), troubles(fleet)
        fleet.check()


def test_idle_connections_are_closed_by_the_server(tmp_path):
    with (
        running_redis(tmp_path / "redis", options=("timeout 2",)) as redis,
        running(tmp_path, redis.port) as (*_, fleet, tenant),
    ):
        for _ in range(3):
            seen = tenant.ended(tenant.send(FILES), api="extract")
            assert (seen.status, seen.successful) == ("COMPLETED", 6)
            with redis.client() as client:
                assert wait_until(lambda client=client: idle(client) == 0, seconds=30)
        assert troubles(fleet) == []


def idle(client):
    """Connections of the workers' platform role, which is used while something is executed."""
    return sum(each["name"] == "unstract-worker-platform" for each in client.client_list())
