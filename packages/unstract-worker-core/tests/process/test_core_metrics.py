"""Metrics of a process: what is counted, what is read, what the page says of them."""

from pathlib import Path

import pytest

from unstract_worker_core.observability.metrics import (
    DUE,
    QUEUE_LENGTH,
    READ,
    Described,
    Metrics,
    Reading,
    Readings,
    metrics_table,
)
from unstract_worker_core.worker.cli import make_metrics_folder

PAGE = Path(__file__).parents[2] / "README.md"
TASK = ("name", "hostname", "queue_name")


def samples(metrics: Metrics) -> str:
    return metrics.render().decode()


def test_metrics_are_rendered_and_belong_to_one_process_object() -> None:
    one, other = Metrics(), Metrics()
    one.backend_calls.labels("executions.get", "ok").inc()
    one.backend_seconds.labels("executions.get").observe(0.02)
    one.slots(3)
    one.cleanup_not_offered.inc()
    text = samples(one)
    assert 'unstract_worker_backend_calls_total{operation="executions.get",outcome="ok"} 1.0' in text
    assert 'unstract_worker_backend_seconds_bucket{le="0.025",operation="executions.get"} 1.0' in text
    assert "unstract_worker_slots_in_use 3.0" in text
    assert 'celery_worker_tasks_active{hostname="local"} 3.0' in text
    assert "_created" not in text
    assert "unstract_worker_cleanup_not_offered_total 0.0" in samples(other)


def test_the_names_and_labels_of_tasks_are_those_of_celery_exporter() -> None:
    reported = {entry.name: entry.labels for entry in (*Metrics().described, *READ) if entry.name.startswith("celery_")}
    assert reported == {
        "celery_task_received_total": TASK,
        "celery_task_started_total": TASK,
        "celery_task_succeeded_total": TASK,
        "celery_task_failed_total": (*TASK, "exception"),
        "celery_task_retried_total": TASK,
        "celery_task_rejected_total": TASK,
        "celery_task_runtime": TASK,
        "celery_worker_tasks_active": ("hostname",),
        "celery_worker_up": ("hostname",),
        "celery_active_worker_count": ("queue_name",),
        "celery_queue_length": ("queue_name",),
    }


def test_no_label_can_hold_an_id() -> None:
    bounded = {
        "name", "hostname", "queue_name", "exception", "operation", "outcome", "kind", "repeated", "step", "task",
        "state",
    }  # fmt: skip
    assert {label for entry in (*Metrics().described, *READ) for label in entry.labels} == bounded


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        ("ok", "succeeded"),
        ("deferred", "retried"),
        ("stepped_aside", "retried"),
        ("retried", "retried"),
        ("rejected", "rejected"),
        ("failed", "failed"),
        ("refused", "failed"),
        ("ignored", None),
    ],
)
def test_each_outcome_of_the_boundary_is_one_state_of_celery(outcome: str, counted: str | None) -> None:
    metrics = Metrics("host", ("celery",))
    metrics.task("t", "celery").ended(outcome, 0.2, "BackendRefused")
    states = {}
    for state in ("succeeded", "retried", "rejected", "failed"):
        labels = {"name": "t", "hostname": "host", "queue_name": "celery"}
        labels |= {"exception": "BackendRefused"} if state == "failed" else {}
        states[state] = metrics.registry.get_sample_value(f"celery_task_{state}_total", labels) or 0
    assert states == {state: int(state == counted) for state in states}


def test_a_queue_that_is_not_consumed_makes_no_label_of_its_own() -> None:
    metrics = Metrics("host", ("celery",))
    for number in range(50):
        metrics.task("t", f"made-up-{number}").received()
    metrics.task("t", "celery").received()
    text = samples(metrics)
    assert 'celery_task_received_total{hostname="host",name="t",queue_name="other"} 50.0' in text
    assert "made-up" not in text


def test_what_was_read_is_shown_until_its_time() -> None:
    now = [100.0]
    readings = Readings(clock=lambda: now[0])
    metrics = Metrics()
    metrics.registry.register(readings)
    readings.show("queues", [Reading(QUEUE_LENGTH, 4, ("celery",)), Reading(QUEUE_LENGTH, 2, ("b",))], until=115.0)
    readings.show("ledger", [Reading(DUE, 7.5)])

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    assert value("celery_queue_length", queue_name="celery") == 4
    assert value("celery_queue_length", queue_name="b") == 2
    now[0] = 115.0
    assert value("celery_queue_length", queue_name="celery") is None
    assert value("unstract_worker_ledger_due_seconds") == 7.5
    readings.show("ledger", [])
    assert value("unstract_worker_ledger_due_seconds") is None


def test_folders_that_killed_workers_left_are_removed_and_no_others(tmp_path: Path) -> None:
    left = tmp_path / "unstract-worker-metrics-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "counter_1.db").touch()
    starting = tmp_path / "unstract-worker-metrics-starting"
    starting.mkdir()

    first, second = make_metrics_folder(str(tmp_path)), make_metrics_folder(str(tmp_path))

    assert set(tmp_path.iterdir()) == {starting, first, second}


def test_the_page_lists_every_metric_as_it_is() -> None:
    assert metrics_table() in PAGE.read_text(), "write metrics_table() into core's README again"
    assert all(isinstance(entry, Described) and entry.purpose.endswith((".", "none is.")) for entry in READ)
