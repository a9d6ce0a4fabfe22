"""Doorbells on a real broker: what they publish, and that they never fail a step."""

import json

import pytest

from unstract_worker_core.doorbells import read_batch_doorbell, read_run_doorbell
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import settings_for
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def doorbells(redis_url, metrics):
    bells = CeleryDoorbells(settings_for(WorkerType.GENERAL, redis_url=redis_url).broker, metrics)
    yield bells
    bells.close()


def messages(redis, queue):
    envelopes = [json.loads(raw) for raw in reversed(redis.lrange(queue, 0, -1))]
    import base64

    return [(one["headers"]["task"], json.loads(base64.b64decode(one["body"]))[1]) for one in envelopes]


@pytest.mark.parametrize(
    ("task", "kind", "queue", "name"),
    [
        (RunTask.EXECUTION, RunKind.API, "uw_orchestrate_api", "unstract_worker.orchestrate"),
        (RunTask.EXECUTION, RunKind.ETL, "uw_orchestrate", "unstract_worker.orchestrate"),
        (RunTask.SCHEDULE, RunKind.ETL, "uw_orchestrate", "unstract_worker.orchestrate"),
        (RunTask.WEBHOOK, RunKind.ETL, "uw_deliver", "unstract_worker.deliver"),
    ],
)
def test_a_start_is_rung_where_it_is_orchestrated(doorbells, redis, task, kind, queue, name):
    doorbells.ring_start("run-1", task=task, kind=kind)
    ((published, kwargs),) = messages(redis, queue)
    assert published == name
    assert read_run_doorbell(kwargs).run_id == "run-1"


@pytest.mark.parametrize(("kind", "queue"), [(RunKind.API, "uw_api_files"), (RunKind.ETL, "uw_files")])
def test_batches_are_rung_in_order_and_counted_as_waiting(doorbells, redis, metrics, kind, queue):
    doorbells.ring_batches("run-1", epoch=2, batches=range(2500), kind=kind)
    bells = [read_batch_doorbell(kwargs) for _, kwargs in messages(redis, queue)]
    assert [(bell.run_id, bell.epoch, bell.batch) for bell in bells] == [("run-1", 2, number) for number in range(2500)]
    assert doorbells.waiting(kind) == 2500
    assert doorbells.waiting(RunKind.API if kind is RunKind.ETL else RunKind.ETL) == 0
    assert metrics.registry.get_sample_value("unstract_worker_rings_total", {"kind": queue[3:]}) == 2500


def test_a_callback_is_rung(doorbells, redis):
    doorbells.ring_callback("run-1")
    assert messages(redis, "uw_callback") == [("unstract_worker.finalise", {"run_id": "run-1"})]


def test_connections_that_were_cut_meanwhile_are_replaced(doorbells, redis):
    doorbells.ring_callback("run-1")
    redis.client_kill_filter(_type="normal", skipme=True)
    doorbells.ring_callback("run-2")
    assert [kwargs["run_id"] for _, kwargs in messages(redis, "uw_callback")] == ["run-1", "run-2"]


def test_a_broker_that_is_away_fails_no_step_and_is_never_read_as_empty(metrics):
    bells = CeleryDoorbells(settings_for(WorkerType.GENERAL, redis_url="redis://127.0.0.1:1/0").broker, metrics)
    bells.ring_callback("run-1")
    assert metrics.registry.get_sample_value("unstract_worker_rings_total", {"kind": "callback_failed"}) == 1
    assert bells.waiting(RunKind.API) > 1_000_000
    assert bells.depth(("uw_files",)) is None
