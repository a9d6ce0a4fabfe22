"""The general worker's tasks by their names, called as Celery calls them."""

import pytest
from celery import Celery

from unstract_devstack.sink import running_sink
from unstract_worker_general.tasks import register


@pytest.fixture
def tasks(rig):
    app = Celery("test", set_as_current=False)
    register(app, lambda: rig.runtime)
    return app.tasks


def test_all_names_of_the_contract_are_registered(tasks):
    assert {name for name in tasks if not name.startswith("celery.")} == {
        "async_execute_bin",
        "async_execute_bin_general",
        "scheduler.tasks.execute_pipeline_task",
        "execute_pipeline_task_v2",
        "send_webhook_notification",
        "scheduler_health_check",
        "unstract_worker.orchestrate",
        "unstract_worker.deliver",
    }
    late = {name for name in tasks if tasks[name].acks_late and not name.startswith("celery.")}
    assert late == {
        "async_execute_bin",
        "async_execute_bin_general",
        "scheduler.tasks.execute_pipeline_task",
        "execute_pipeline_task_v2",
        "send_webhook_notification",
    }


def test_a_schedule_runs_up_to_its_batches(rig, tasks, folder):
    pipeline = rig.pipeline(rig.workflow(folder))
    args = ["", rig.organization, "", "", pipeline, False, "Pipeline job"]
    sent = tasks["scheduler.tasks.execute_pipeline_task"].apply(args=args)
    tasks["unstract_worker.orchestrate"].apply(kwargs={"run_id": sent.id, "schema": 1})
    (execution,) = rig.executions()
    tasks["unstract_worker.orchestrate"].apply(kwargs={"run_id": execution["id"], "schema": 1})
    assert [run for run, _, _, _ in rig.batches] == [execution["id"]]


def test_a_webhook_is_delivered(rig, tasks):
    with running_sink() as sink:
        sent = tasks["send_webhook_notification"].apply(args=[sink.url, {"text": "hello"}])
        tasks["unstract_worker.deliver"].apply(kwargs={"run_id": f"webhook.{sent.id}"})
        assert len(sink.received()) == 1


def test_a_doorbell_of_a_newer_form_is_left_alone(rig, tasks, folder):
    workflow = rig.workflow(folder)
    execution = rig.execution(workflow)
    tasks["async_execute_bin_general"].apply(args=[rig.organization, workflow, execution, {}])
    tasks["unstract_worker.orchestrate"].apply(kwargs={"run_id": execution, "schema": 99})
    assert rig.meta(execution)["state"] == "ACCEPTED"
    assert rig.batches == []


@pytest.mark.parametrize("name", ["async_execute_bin", "execute_pipeline_task_v2", "send_webhook_notification"])
def test_what_cannot_be_read_is_a_dead_letter_once(rig, tasks, name):
    tasks[name].apply(args=["x" * 10_000])
    assert rig.runtime.ledger.dead_letters.count() == 1
    assert rig.starts == []


def test_the_health_check_answers(tasks):
    assert tasks["scheduler_health_check"].apply().result == {"status": "healthy"}
