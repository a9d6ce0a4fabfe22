"""S5, S7: what a worker listens to besides its queues (Celery's control plane, the health port) gives nothing away."""

import contextlib
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery

from unstract_devstack.http_calls import call

BROKER = 0
CONNECTIONS = 1000


@pytest.fixture
def control(ground) -> Iterator:
    """Celery's own remote control, by somebody who may do anything in the broker's Redis."""
    url = f"redis://:{ground.secrets.administrator}@127.0.0.1:{ground.redis.port}/{BROKER}"
    app = Celery("intruder", broker=url, set_as_current=False)
    yield app.control
    app.close()


@pytest.mark.parametrize("destination", [None, "by name"])
def test_s5_remote_control_is_ignored(ground, tenant, control, destination):
    pids = ground.pids()
    named = None if destination is None else [f"{kind}@{kind}-{os.getpid()}" for kind in ("general", "callback")]
    for command, arguments in {
        "shutdown": {},
        "pool_restart": {"reload": True},
        "revoke": {"task_id": "x", "terminate": True, "signal": "SIGKILL"},
        "cancel_consumer": {"queue": "celery"},
        "rate_limit": {"task_name": "unstract_worker.finalise", "rate_limit": "0/m"},
        "pool_shrink": {"n": 100},
        "enable_events": {},
    }.items():
        control.broadcast(command, arguments=arguments, destination=named)

    assert not control.inspect(timeout=0.5).ping()
    tenant.works()
    pipeline = tenant.etl("controlled", {"a.txt": "Total: 1"})
    assert tenant.ended(tenant.platform.trigger(pipeline)).status == "COMPLETED"
    assert ground.pids() == pids
    assert ground.database(BROKER).pubsub_channels("*") == []


def opened(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may hold the connections of the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * CONNECTIONS)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_s7_a_thousand_idle_connections_cost_a_bounded_number_of_files_and_threads(
    ground, tenant, many_files, eventually
):
    worker = ground.fleet.workers["general"]
    pid, url = worker.process.pid, f"{worker.health_url}/live"
    files, running = opened(pid), threads(pid)
    most = 0
    with contextlib.ExitStack() as held:
        for _ in range(CONNECTIONS):
            held.enter_context(socket.create_connection(("127.0.0.1", worker.health_port), timeout=10))
            most = max(most, opened(pid) - files)
        tenant.works()  # meanwhile
        pipeline = tenant.etl("crowded", {"a.txt": "Total: 1"})
        assert tenant.ended(tenant.platform.trigger(pipeline)).status == "COMPLETED"
        most = max(most, opened(pid) - files)
        assert threads(pid) - running < 30  # the pool's threads among them
    assert most < 100

    eventually(lambda: answers(url))
    eventually(lambda: opened(pid) - files < 20)


def answers(url: str) -> bool:
    with contextlib.suppress(Exception):
        return call("GET", url, timeout=2.0).status == 200
    return False


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/metrics", "/", "/health/../etc/passwd"])
def test_s7_pages_hold_no_id_no_address_and_no_secret(ground, tenant, path):
    tenant.works()
    row = tenant.platform.executions()[-1]
    for worker in ground.fleet.workers.values():
        body = call("GET", f"{worker.health_url.removesuffix('/health')}{path}?x=of-the-query").body.decode()
        for private in (
            row.id,
            row.files[0].id,
            tenant.organization,
            "good.txt",
            str(ground.redis.port),
            "of-the-query",
        ):
            assert private not in body
        assert ground.backend.api_key not in body
