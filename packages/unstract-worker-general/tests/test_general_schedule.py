"""Scheduled pipelines: one execution for one message, whatever happens in between."""

import json
import threading
from uuid import uuid4

import pytest

from unstract_devstack.sink import running_sink
from unstract_worker_core.backend.executions import ExecutionSummary
from unstract_worker_core.errors import BackendUnavailable, LeaseLost, OutcomeUnknown
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.runs.run_handler import handle_run
from unstract_worker_core.runs.session import start_of
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_general.schedule import accept_schedule, find_created_execution, newest
from unstract_worker_general.tasks import ORCHESTRATE_JOBS


def schedule(rig, folder, **pipeline):
    """A pipeline and its accepted schedule message: (pipeline id, message id)."""
    made = rig.pipeline(rig.workflow(folder), **pipeline)
    return made, accept(rig, made)


def accept(rig, pipeline, task_id=None, **arguments):
    delivery = rig.delivery("", rig.organization, "", "", pipeline, True, "nightly", task_id=task_id)
    accept_schedule(rig.runtime, delivery)
    return delivery.task_id


def orchestrate(rig, run):
    return handle_run(rig.runtime, run, ORCHESTRATE_JOBS)


def state(rig, run):
    return rig.runtime.ledger.runs.state(run)


def last_run_status(rig, pipeline):
    return rig.dev("GET", f"/internal/v1/pipeline/{pipeline}/")["pipeline"]["last_run_status"]


def die_at(rig, monkeypatch, method, field=None):
    """The worker dies right before this ledger step."""
    runs = rig.runtime.ledger.runs
    original = getattr(runs, method)

    def dying(*args, **kwargs):
        if field is None or field in args[1]:
            monkeypatch.setattr(runs, method, original)
            raise LeaseLost("dead")
        return original(*args, **kwargs)

    monkeypatch.setattr(runs, method, dying)


def test_a_schedule_becomes_one_started_execution(rig, folder):
    pipeline, run = schedule(rig, folder)
    assert rig.starts == [(run, RunTask.SCHEDULE, RunKind.ETL)]
    orchestrate(rig, run)
    (execution,) = rig.executions()
    assert (execution["status"], execution["pipeline_id"]) == ("PENDING", pipeline)
    assert rig.starts[1:] == [(execution["id"], RunTask.EXECUTION, RunKind.ETL)]
    assert state(rig, run) is RunState.DONE
    final = rig.runtime.ledger.runs.final(run)
    assert final is not None
    assert final.detail == {"execution_id": execution["id"]}
    assert last_run_status(rig, pipeline) == "INPROGRESS"
    claim = rig.runtime.ledger.runs.claim(execution["id"], "t", state=RunState.ACCEPTED)
    start = start_of(claim)
    assert (start.pipeline_id, start.scheduled, start.use_file_history) == (pipeline, True, True)
    assert start.workflow_id == execution["workflow_id"]


def test_the_v2_form_is_read_too(rig, folder):
    pipeline = rig.pipeline(rig.workflow(folder))
    delivery = rig.delivery(organization_id=rig.organization, pipeline_id=pipeline, pipeline_name="nightly")
    accept_schedule(rig.runtime, delivery)
    orchestrate(rig, delivery.task_id)
    assert len(rig.executions()) == 1


def test_redelivered_messages_create_nothing_more(rig, folder):
    pipeline, run = schedule(rig, folder)
    accept(rig, pipeline, run)
    orchestrate(rig, run)
    for _ in range(20):
        accept(rig, pipeline, run)
        assert not orchestrate(rig, run)
    assert len(rig.executions()) == 1


def test_redelivered_messages_at_once_create_one(rig, folder):
    pipeline, run = schedule(rig, folder)

    def deliver():
        accept(rig, pipeline, run)
        orchestrate(rig, run)

    threads = [threading.Thread(target=deliver) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(rig.executions()) == 1
    assert state(rig, run) is RunState.DONE


def test_two_messages_are_two_executions(rig, folder):
    pipeline, first = schedule(rig, folder)
    second = accept(rig, pipeline)
    orchestrate(rig, first)
    orchestrate(rig, second)
    assert len(rig.executions()) == 2


@pytest.mark.parametrize(
    ("method", "field"),
    [
        ("journal", "in_progress"),
        ("journal", "create:asked"),
        ("journal", "created"),
        ("accept", None),
        ("finish", None),
    ],
)
def test_a_death_at_any_step_leaves_one_execution(rig, folder, monkeypatch, method, field):
    _, run = schedule(rig, folder)
    die_at(rig, monkeypatch, method, field)
    with pytest.raises(LeaseLost):
        orchestrate(rig, run)
    rig.lapse(run)
    assert orchestrate(rig, run)
    (execution,) = rig.executions()
    assert state(rig, execution["id"]) is RunState.ACCEPTED
    assert state(rig, run) is RunState.DONE


def test_an_answer_that_is_lost_is_looked_for(rig, folder):
    _, run = schedule(rig, folder)
    rig.fault("cut_after", "execution/create", count=1)
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, run)
    assert len(rig.executions()) == 1
    assert rig.meta(run)["attempts"] == "0"
    orchestrate(rig, run)
    (execution,) = rig.executions()
    assert state(rig, execution["id"]) is RunState.ACCEPTED


def test_a_request_that_was_lost_is_made_again(rig, folder):
    _, run = schedule(rig, folder)
    rig.fault("cut_before", "execution/create", count=1)
    with pytest.raises((OutcomeUnknown, BackendUnavailable)):
        orchestrate(rig, run)
    assert rig.executions() == []
    orchestrate(rig, run)
    assert len(rig.executions()) == 1


def test_another_run_of_the_same_pipeline_is_not_adopted(rig, folder):
    pipeline, first = schedule(rig, folder)
    second = accept(rig, pipeline)
    rig.fault("cut_after", "execution/create", count=1)
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, first)
    orchestrate(rig, second)
    orchestrate(rig, first)
    assert len(rig.executions()) == 2
    started = {run for run, task, _ in rig.starts if task is RunTask.EXECUTION}
    assert started == {each["id"] for each in rig.executions()}


def test_older_pending_executions_are_not_adopted(rig, folder):
    workflow = rig.workflow(folder)
    pipeline = rig.pipeline(workflow)
    old = rig.execution(workflow, pipeline_id=pipeline)
    run = accept(rig, pipeline)
    rig.fault("cut_before", "execution/create", count=1)
    with pytest.raises((OutcomeUnknown, BackendUnavailable)):
        orchestrate(rig, run)
    orchestrate(rig, run)
    assert len(rig.executions()) == 2
    assert state(rig, old) is None


def test_a_paused_pipeline_is_not_started(rig, folder):
    _, run = schedule(rig, folder, active=False)
    orchestrate(rig, run)
    assert rig.executions() == []
    assert state(rig, run) is RunState.DONE
    assert rig.runtime.ledger.dead_letters.count() == 0


def test_a_pipeline_paused_in_between_is_not_started(rig, folder):
    _, run = schedule(rig, folder)
    reported = json.dumps({"status": "error", "message": "Failed to update pipeline: Pipeline 'x' is inactive"})
    rig.fault("body", "v1/pipeline/", method="PUT", status=500, body=reported)
    orchestrate(rig, run)
    assert rig.executions() == []
    assert state(rig, run) is RunState.DONE


def test_an_unknown_pipeline_becomes_a_dead_letter(rig):
    run = accept(rig, str(uuid4()))
    orchestrate(rig, run)
    assert state(rig, run) is RunState.DONE
    assert rig.runtime.ledger.dead_letters.count() == 1


def test_a_refused_creation_fails_the_pipeline(rig, folder):
    pipeline, run = schedule(rig, folder)
    rig.fault("body", "execution/create", status=404, body=json.dumps({"error": "Workflow not found"}))
    orchestrate(rig, run)
    assert last_run_status(rig, pipeline) == "FAILURE"
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert "Workflow not found" in letter.reason
    assert state(rig, run) is RunState.DONE


def test_an_execution_that_was_created_is_started_even_when_its_message_is_given_up(rig, folder):
    _, run = schedule(rig, folder)
    rig.fault("answer", "execution/create", status=500, body='{"error": "Internal server error"}')
    rig.redis.hset(f"uw:{{{run}}}:meta", "attempts", "4")
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, run)
    assert rig.meta(run)["attempts"] == "5"
    orchestrate(rig, run)
    (execution,) = rig.executions()
    assert state(rig, execution["id"]) is RunState.ACCEPTED


def test_subscribers_are_told_once_that_a_run_begins(rig, folder, monkeypatch):
    with running_sink() as sink:
        pipeline, run = schedule(rig, folder)
        target = {"organization_id": rig.organization, "pipeline_id": pipeline, "url": sink.url, "platform": "SLACK"}
        notification = rig.dev("POST", "/dev/notifications", target)["notification_id"]
        die_at(rig, monkeypatch, "journal", "create:asked")
        with pytest.raises(LeaseLost):
            orchestrate(rig, run)
        rig.lapse(run)
        orchestrate(rig, run)
    (reported,) = rig.effects("notifications.enqueue", notification_id=notification)
    assert reported["detail"]["status"] == "INPROGRESS"
    assert reported["key"] == f"{run}:1:{notification}:INPROGRESS"


@pytest.mark.parametrize("path", ["webhook/pipeline", "webhook/buffer"])
@pytest.mark.parametrize("status", [400, 503])
def test_subscribers_that_cannot_be_told_do_not_keep_a_run_from_starting(rig, folder, path, status):
    pipeline, run = schedule(rig, folder)
    target = {"organization_id": rig.organization, "pipeline_id": pipeline, "url": "http://x", "platform": "API"}
    rig.dev("POST", "/dev/notifications", target)
    rig.fault("status", path, status=status)
    orchestrate(rig, run)
    assert len(rig.executions()) == 1


def test_a_pipeline_whose_failure_is_refused_becomes_a_dead_letter_all_the_same(rig, folder):
    _, run = schedule(rig, folder)
    rig.fault("status", "execution/create", status=404)
    rig.fault("status", "v1/pipeline/", method="PUT", status=404, skip=1)
    orchestrate(rig, run)
    assert state(rig, run) is RunState.DONE
    assert rig.runtime.ledger.dead_letters.count() == 1


def test_an_unreadable_record_becomes_a_dead_letter(rig):
    run = str(uuid4())
    rig.runtime.ledger.runs.accept(run, task=RunTask.SCHEDULE, kind=RunKind.ETL, organization_id="org_x", start="{}")
    orchestrate(rig, run)
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert "cannot be read" in letter.reason


def summary(number, created, pipeline="p", method="SCHEDULED"):
    return ExecutionSummary(
        str(number), "w", ExecutionStatus.PENDING, pipeline, created_at=created, execution_method=method
    )


def test_the_newest_is_found_though_fractions_may_be_missing():
    rows = [summary(1, "2026-05-05T17:03:34.120000Z"), summary(2, "2026-05-05T17:03:35Z")]
    assert newest(rows) == "2026-05-05T17:03:35Z"
    assert newest([]) == ""


def test_the_first_new_and_unknown_execution_of_the_pipeline_is_adopted():
    rows = [
        summary(1, "2026-05-05T17:03:34.120000Z"),
        summary(2, "2026-05-05T17:03:35.5Z"),
        summary(3, "2026-05-05T17:03:36Z"),
        summary(4, "2026-05-05T17:03:35.1Z", "another"),
        summary(5, "not a time"),
        summary(6, "2026-05-05T17:03:35.2Z", method="DIRECT"),
    ]
    since = "2026-05-05T17:03:34.120000Z"
    assert find_created_execution(rows, "p", since=since, known=lambda each: False) == "2"
    assert find_created_execution(rows, "p", since=since, known=lambda each: each == "2") == "3"
    assert find_created_execution(rows, "p", since="2026-05-05T17:03:36Z", known=lambda each: False) is None
