"""Queues as data."""

import pytest

from unstract_worker_core.config import BackendSettings, BrokerSettings, ProcessSettings, Secret, Settings
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
        (
            WorkerType.FILE_PROCESSING,
            ("file_processing", "api_file_processing", "uw_files", "uw_api_files", "uw_executor_answers"),
        ),
        (WorkerType.CALLBACK, ("file_processing_callback", "api_file_processing_callback", "uw_callback")),
    ],
)
def test_what_each_worker_consumes(worker: WorkerType, consumed: tuple[str, ...]) -> None:
    assert consumed_queues(settings_of(worker)) == consumed
    own = queues_of(worker).own
    assert consumed_queues(settings_of(worker, "other", own[0])) == ("other", *own)


def test_every_doorbell_has_a_task_and_one_consumer() -> None:
    assert set(DOORBELL_QUEUES) == set(DOORBELL_TASKS) == set(Doorbell)
    consumers = [bell for entry in WORKER_QUEUES for bell in entry.doorbells]
    assert sorted(consumers) == sorted(Doorbell)


def test_routes_lead_to_queues_that_somebody_consumes() -> None:
    ours = {queue for entry in WORKER_QUEUES for queue in (*entry.platform, *entry.own)}
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
