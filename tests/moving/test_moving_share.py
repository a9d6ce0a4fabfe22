"""Both kinds side by side on all four types: the share holds, and switching it under load loses and doubles nothing."""

import threading

import pytest

from unstract_devstack.fleet import WORKERS
from unstract_devstack.processes import wait_until
from unstract_devstack.today.app import ASIDE, SUFFIX
from unstract_worker_core.config.sections import TrafficSettings

pytestmark = pytest.mark.timeout(400)

NAMES = tuple(kind.name for kind in WORKERS)
FILES = {"a.txt": b"Total: 1", "b.txt": b"Total: 2", "broken.pdf": b"%PDF no"}


def share(percent: int) -> dict[str, str]:
    return {"WORKER_TRAFFIC_PERCENT": str(percent), "WORKER_TRAFFIC_FORWARD_SUFFIX": SUFFIX}


def ours(ground, executions) -> set[str]:
    """Those that our ledger has as runs of its own: a chord's batches and callbacks have other names there."""
    with ground.redis.client() as client:
        return {each for each in executions if client.exists(f"uw:{{{each}}}:meta")}


@pytest.mark.parametrize("percent", [0, 50])
def test_an_execution_is_wholly_one_kinds(ground, percent):
    tenant = ground.tenant()
    tenant.api()
    with ground.theirs(NAMES, **ASIDE), ground.ours(**share(percent)):
        sent = [tenant.send(FILES) for _ in range(16)]
        pipelines = [tenant.etl({"one.txt": b"Total: 1"}) for _ in range(8)]
        started = [tenant.platform.trigger(pipeline) for pipeline, _ in pipelines]
        seen = [tenant.ended(each, api="extract") for each in sent]
        runs = [tenant.ended(each) for each in started]
        scheduled = tenant.scheduled()

    assert {(one.status, one.total, one.successful, one.failed, one.executed) for one in seen} == {
        ("COMPLETED", 3, 2, 1, 3)
    }
    assert {(one.status, one.total, one.executed) for one in runs} == {("COMPLETED", 1, 1)}
    assert (scheduled.status, scheduled.executed) == ("COMPLETED", 1)
    everything = {row.id for row in tenant.platform.executions()}
    assert len(everything) == 25
    takes, organization = TrafficSettings(percent=percent).takes, tenant.platform.organization
    assert ours(ground, everything) == {each for each in everything if takes(organization, each)}


def test_a_share_that_changes_under_load_loses_nothing(ground):
    """Ours are restarted with other shares, up to all and back to none, while executions keep coming."""
    tenant, enough, sent = ground.tenant(), threading.Event(), []
    tenant.api()

    def feed() -> None:
        while not enough.wait(0.7):
            sent.append(tenant.send(FILES))

    feeder = threading.Thread(target=feed)
    with ground.theirs(NAMES, **ASIDE):
        feeder.start()
        try:
            for percent in (0, 50, 100, 0):
                with ground.ours(**share(percent)):
                    before = len(sent)
                    assert wait_until(lambda before=before: len(sent) >= before + 8, seconds=60)
        finally:
            enough.set()
            feeder.join()
        # Today's are still there; with nothing handed on any more ours end what is left.
        with ground.ours():
            seen = [tenant.ended(each, api="extract") for each in sent]
    assert len(sent) >= 32
    shown = {(one.status, one.total, one.successful, one.failed, one.executed, len(one.items)) for one in seen}
    assert shown == {("COMPLETED", 3, 2, 1, 3, 3)}
    taken = ours(ground, sent)
    assert 0 < len(taken) < len(sent)
