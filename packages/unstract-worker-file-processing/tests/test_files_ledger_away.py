"""Redis goes away between the sending of a request and the ledger's note of it."""

import json
import threading

import pytest
from attrs import evolve

from unstract_devstack.redis_server import running_redis
from unstract_worker_core.errors import SteppedAside
from unstract_worker_file_processing.deferred import Parked
from unstract_worker_file_processing.executor import NotNow

ATTEMPTS = 4  # of one call of a step


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("redis")) as handle:
        yield handle


@pytest.fixture
def settings(settings):
    return evolve(settings, ledger=evolve(settings.ledger, lease_seconds=60.0))


@pytest.fixture
def bench(bench, later):
    bench.executor = later()
    bench.file("a.txt")
    bench.arm()
    return bench


@pytest.fixture
def away_during(bench, redis_server):
    """Stops Redis, and starts it again once a whole call of the step has failed."""
    started = []

    def stop(step):
        def start():
            labels = {"step": step, "outcome": "error"}
            registry = bench.runtime.metrics.registry
            bench.wait(
                lambda: (registry.get_sample_value("unstract_worker_ledger_steps_total", labels) or 0) >= ATTEMPTS,
                seconds=40,
            )
            redis_server.start()

        redis_server.stop()
        started.append(threading.Thread(target=start))
        started[-1].start()

    yield stop
    for thread in started:
        thread.join()


def request_of(bench, redis_server):
    with redis_server.client() as redis:
        found = redis.hget(f"uw:{{{bench.execution_id}}}:requests", "1")
    return json.loads(found) if found else None


def test_that_a_request_was_published_is_recorded_once_redis_is_back(bench, redis_server, away_during):
    bench.executor.scripts["send"] = lambda: away_during("note_published")

    with pytest.raises(Parked):
        bench.process()

    request = request_of(bench, redis_server)
    assert request["state"] == "published"
    assert request["expires"] - request["at"] == bench.runtime.settings.executor.result_timeout * 1000


def test_that_a_request_was_not_sent_is_recorded_once_redis_is_back(bench, redis_server, away_during):
    def refuse():
        away_during("withdraw_request")
        raise NotNow("the queue is full")

    bench.executor.scripts["send"] = refuse

    with pytest.raises(SteppedAside, match="the queue is full"):
        bench.process()

    assert request_of(bench, redis_server) is None
