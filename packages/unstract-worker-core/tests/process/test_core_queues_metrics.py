"""Queues as data, and metrics of a process."""

import pytest

from unstract_worker_core.config import BackendSettings, BrokerSettings, ProcessSettings, Secret, Settings
from unstract_worker_core.metrics import Metrics
from unstract_worker_core.queues import (
    DOORBELL_QUEUES,
    DOORBELL_TASKS,
    ROUTES,
    WORKER_QUEUES,
    Doorbell,
    consumed_queues,
    queue_for,
    queues_of,
)
from unstract_worker_core.statuses import WorkerType


def settings_of(worker: WorkerType, *queues: str) -> Settings:
    return Settings(
        worker=worker,
        backend=BackendSettings("http://b/internal", Secret("k")),
        broker=BrokerSettings(Secret("redis://b")),
        process=ProcessSettings(queues=queues),
    )


@pytest.mark.parametrize(
    ("worker", "consumed"),
    [
        (WorkerType.API_DEPLOYMENT, ("celery_api_deployments", "uw_orchestrate_api")),
        (WorkerType.GENERAL, ("celery", "notifications", "uw_orchestrate", "uw_deliver")),
        (WorkerType.FILE_PROCESSING, ("file_processing", "api_file_processing", "uw_files", "uw_api_files")),
        (WorkerType.CALLBACK, ("file_processing_callback", "api_file_processing_callback", "uw_callback")),
    ],
)
def test_what_each_worker_consumes(worker: WorkerType, consumed: tuple[str, ...]) -> None:
    assert consumed_queues(settings_of(worker)) == consumed
    doorbells = queues_of(worker).doorbell_queues
    assert consumed_queues(settings_of(worker, "other", doorbells[0])) == ("other", *doorbells)


def test_every_doorbell_has_a_task_and_one_consumer() -> None:
    assert set(DOORBELL_QUEUES) == set(DOORBELL_TASKS) == set(Doorbell)
    consumers = [bell for entry in WORKER_QUEUES for bell in entry.doorbells]
    assert sorted(consumers) == sorted(Doorbell)


def test_routes_lead_to_queues_that_somebody_consumes() -> None:
    ours = {queue for entry in WORKER_QUEUES for queue in (*entry.platform, *entry.doorbell_queues)}
    assert {route.queue for route in ROUTES} - ours == {"celery_log_task_queue"}
    assert len({route.task for route in ROUTES}) == len(ROUTES)
    assert queue_for("process_file_batch") == "file_processing"
    assert queue_for("unstract_worker.finalise") == "uw_callback"
    assert queue_for("unknown") is None


def test_scaling_rules_are_usable() -> None:
    for entry in WORKER_QUEUES:
        rule = entry.scaling
        assert 1 <= rule.min_replicas < rule.max_replicas
        assert rule.waiting_per_replica > 0
        assert rule.cooldown_seconds > 0


def test_metrics_are_rendered_and_belong_to_one_process_object() -> None:
    one, other = Metrics(), Metrics()
    one.backend_calls.labels("executions.get", "ok").inc()
    one.backend_seconds.labels("executions.get").observe(0.02)
    one.task_seconds.labels("unstract_worker.finalise").observe(1)
    one.slots_in_use.set(3)
    one.cleanup_not_offered.inc()
    text = one.render().decode()
    assert 'unstract_worker_backend_calls_total{operation="executions.get",outcome="ok"} 1.0' in text
    assert 'unstract_worker_backend_seconds_bucket{le="0.025",operation="executions.get"} 1.0' in text
    assert "unstract_worker_slots_in_use 3.0" in text
    assert "unstract_worker_cleanup_not_offered_total 0.0" in other.render().decode()


def test_the_labels_are_those_agreed() -> None:
    metrics = Metrics()
    labels = {name: metric._labelnames for name, metric in vars(metrics).items() if hasattr(metric, "_labelnames")}
    assert labels == {
        "backend_calls": ("operation", "outcome"),
        "backend_seconds": ("operation",),
        "breaker_open": (),
        "tasks": ("name", "outcome"),
        "task_seconds": ("name",),
        "files": ("outcome",),
        "rings": ("kind",),
        "rescues": ("kind",),
        "dead_letters": ("kind",),
        "traffic": ("name", "outcome"),
        "log_events": ("outcome",),
        "webhook_deliveries": ("outcome",),
        "ledger_steps": ("step", "outcome"),
        "slots_in_use": (),
        "cleanup_not_offered": (),
        "ledger_due_seconds": (),
    }
