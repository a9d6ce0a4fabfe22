"""The general worker's tasks by their names, called as Celery calls them."""

import pytest
from attrs import evolve
from celery import Celery
from sqlalchemy import text

from unstract_devstack.sink import running_sink
from unstract_worker_core.config.sections import ChordSettings
from unstract_worker_general.tasks import CLEANUP_NEEDS, cleanup_lines, register


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


def test_a_clean_up_without_a_result_backend_is_refused_and_says_what_to_do(rig, tasks):
    tasks["celery.backend_cleanup"].apply()
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert (letter.task, letter.reason) == ("celery.backend_cleanup", CLEANUP_NEEDS)
    assert {"CHORD_COMPAT=true", "docker/MOVING.md"} <= set(CLEANUP_NEEDS.replace(",", "").split())


def test_with_a_result_backend_old_results_are_cleaned_up(rig, tmp_path):
    app = Celery("test", set_as_current=False, backend=f"db+sqlite:///{tmp_path}/results")
    register(app, lambda: rig.runtime)
    app.conf.result_expires = 1
    app.backend.store_result("a task of the platform's executor", {"text": 1}, "SUCCESS")
    with app.backend.ResultSession() as session:
        session.execute(text("UPDATE celery_taskmeta SET date_done = '2020-01-01 00:00:00'"))
        session.commit()

    app.tasks["celery.backend_cleanup"].apply(throw=True)

    with app.backend.ResultSession() as session:
        assert session.execute(text("SELECT count(*) FROM celery_taskmeta")).scalar() == 0
    assert rig.runtime.ledger.dead_letters.count() == 0
    assert (
        'celery_task_succeeded_total{hostname="test",name="celery.backend_cleanup"'
        in rig.runtime.metrics.render().decode()
    )


@pytest.mark.parametrize(("chord", "status"), [(True, "ok"), (False, "warn")])
def test_check_says_whether_the_result_table_is_cleaned(rig, chord, status):
    settings = evolve(rig.runtime.settings, chord=ChordSettings(enabled=chord))
    (line,) = cleanup_lines(settings)
    assert (line.subject, line.status) == ("celery.backend_cleanup", status)


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
