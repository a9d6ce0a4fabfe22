"""Callbacks of chords that today's workers build."""

import json

import pytest
from celery import Celery
from celery.exceptions import Retry

from unstract_worker_callback import tasks
from unstract_worker_callback.chord_compat import read_callback
from unstract_worker_callback.finalise import finalise_run
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.statuses import ExecutionStatus, RunKind

NAMES = (
    "process_batch_callback",
    "process_batch_callback_api",
    "workflow_manager.workflow_v2.file_execution_tasks.process_batch_callback",
)
EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"
PIPELINE = "51c2a8f7-e2d9-4b3c-9d1a-6e5f4a3b2c1d"
RESULT = {
    "total_files": 2, "successful_files": 1, "failed_files": 1, "execution_time": 20.4, "file_results": [],
    "errors": [], "skipped_already_completed": 0, "skipped_active_duplicate": 0, "organization_id": "org_8QpLr2",
}  # fmt: skip


@pytest.fixture
def app(rig):
    app = Celery("callback", set_as_current=False)
    tasks.register(app, lambda: rig.runtime)
    return app


def call(app, name, *args, **kwargs):
    return app.tasks[name].apply(args=args, kwargs=kwargs, throw=True).result


def deliver(app, rig, prepared, results, name=NAMES[0], **changes):
    kwargs = {"execution_id": prepared.id, "organization_id": rig.organization, "pipeline_id": prepared.pipeline_id}
    call(app, name, results, **(kwargs | changes))
    return f"{prepared.id}.callback"


def chord(rig, kind=RunKind.ETL, total=2):
    """An execution that today's workers processed; the chord's items were pushed by its file workers."""
    prepared = rig.prepare(kind)
    rig.set_status(prepared, ExecutionStatus.EXECUTING, total_files=total)
    if kind is RunKind.API:
        rig.platform.rpush(rig.list_key(prepared), json.dumps({"file": "pushed by the file worker"}))
    return prepared


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", RunKind)
def test_a_chord_s_results_are_summed_and_its_list_is_left_alone(rig, app, name, kind):
    prepared = chord(rig, kind, total=4)
    target = rig.subscribe(prepared)

    run_id = deliver(app, rig, prepared, [RESULT, RESULT | {"successful_files": 2, "failed_files": 0}], name)
    assert [ring.run_id for ring in rig.rung.of("callback")] == [run_id]
    assert finalise_run(rig.runtime, run_id)

    assert rig.shown(prepared) == ("COMPLETED", 4, 3, 1)
    assert len(rig.ends(prepared)) == 1
    assert rig.notified(prepared) == [target]
    assert rig.state(run_id) is RunState.DONE
    if kind is RunKind.API:
        assert rig.results(prepared) == [{"file": "pushed by the file worker"}]
        assert rig.pipeline_writes(prepared) == []
    else:
        assert rig.pipeline_writes(prepared) == ["SUCCESS"]


@pytest.mark.parametrize(
    ("results", "shown"),
    [
        ([RESULT, None, "lost", 7], ("COMPLETED", 2, 1, 1)),
        ([RESULT | {"successful_files": 0, "failed_files": 2}], ("ERROR", 2, 0, 2)),
        ([{"successful_files": 2}], ("COMPLETED", 2, 2, 0)),
        ([{"successful_files": None, "skipped_already_completed": 2}], ("COMPLETED", 2, 0, 0)),
        ([{"total_files": 2, "successful_files": -3, "failed_files": 1}], ("COMPLETED", 2, 0, 1)),
        ([{"unknown": 1}], ("ERROR", 2, 0, 0)),
        ([], ("ERROR", 2, 0, 0)),
    ],
)
def test_what_the_batches_report_decides(rig, app, results, shown):
    prepared = chord(rig)

    finalise_run(rig.runtime, deliver(app, rig, prepared, results))

    assert rig.shown(prepared) == shown


def test_duplicates_are_harmless_at_every_moment(rig, app):
    prepared = chord(rig)
    rig.subscribe(prepared)
    run_id = deliver(app, rig, prepared, [RESULT])
    deliver(app, rig, prepared, [], NAMES[2])  # before: the first one is kept
    claim = rig.runtime.ledger.runs.claim(run_id, "another worker", state=RunState.READY)
    deliver(app, rig, prepared, [RESULT])  # meanwhile
    assert finalise_run(rig.runtime, run_id) is False
    rig.runtime.ledger.runs.release(claim)

    finalise_run(rig.runtime, run_id)
    rung = len(rig.rung.of("callback"))
    deliver(app, rig, prepared, [RESULT])  # after the end: no doorbell
    assert finalise_run(rig.runtime, run_id) is False

    assert len(rig.rung.of("callback")) == rung
    assert rig.shown(prepared) == ("COMPLETED", 2, 1, 1)
    assert (len(rig.ends(prepared)), len(rig.notified(prepared)), rig.pipeline_writes(prepared)) == (1, 1, ["SUCCESS"])


def test_a_pipeline_that_the_message_does_not_name_is_the_execution_s(rig, app):
    prepared = chord(rig)

    finalise_run(rig.runtime, deliver(app, rig, prepared, [RESULT], pipeline_id=None))

    assert rig.pipeline_writes(prepared) == ["SUCCESS"]


def test_a_stop_wins_over_a_chord_s_results(rig, app):
    prepared = chord(rig)
    rig.stop(prepared)

    finalise_run(rig.runtime, deliver(app, rig, prepared, [RESULT]))

    assert rig.shown(prepared) == ("STOPPED", 2, 1, 1)
    assert rig.pipeline_writes(prepared) == ["FAILURE"]


def test_an_unknown_execution_becomes_a_dead_letter(rig, app):
    run_id = f"{EXECUTION}.callback"
    call(app, NAMES[0], [RESULT], execution_id=EXECUTION, organization_id=rig.organization)

    finalise_run(rig.runtime, run_id)

    assert len(rig.letters()) == 1
    assert rig.state(run_id) is RunState.DONE


def test_a_start_that_cannot_be_read_becomes_a_dead_letter_at_the_last_try(rig):
    run_id = f"{EXECUTION}.callback"
    rig.runtime.ledger.runs.accept(
        run_id, task=RunTask.CHORD_CALLBACK, kind=RunKind.ETL, organization_id=rig.organization, start='{"a": 1}',
        state=RunState.READY,
    )  # fmt: skip

    for attempts in range(1, 6):  # a worker of another version may be able to
        finalise_run(rig.runtime, run_id)
        assert rig.attempts(run_id) == attempts
    finalise_run(rig.runtime, run_id)

    assert len(rig.letters()) == 1
    assert rig.state(run_id) is RunState.DONE
    assert rig.requests() == []


@pytest.mark.parametrize(
    ("args", "changes", "field"),
    [
        (([RESULT],), {"organization_id": None}, "organization_id"),
        (([RESULT],), {"organization_id": "1"}, "organization_id"),
        (([RESULT],), {"execution_id": None}, "execution_id"),
        (([RESULT],), {"execution_id": "../x"}, "execution_id"),
        (([RESULT],), {"pipeline_id": "a\nb"}, "pipeline_id"),
        (([RESULT], 1), {}, "args"),
        ((), {}, "results"),
        ((RESULT,), {}, "results"),
        (("text",), {}, "results"),
        (([{"total_files": "2"}],), {}, "results"),
        (([{"total_files": True}],), {}, "results"),
    ],
)
def test_a_message_that_can_never_be_processed_becomes_one_dead_letter(rig, app, args, changes, field):
    kwargs = {"execution_id": EXECUTION, "organization_id": rig.organization, "pipeline_id": PIPELINE} | changes

    call(app, NAMES[0], *args, **kwargs)

    (reason,) = rig.letters()
    assert field in reason or "BatchResult" in reason
    assert rig.requests() == []
    assert rig.redis.keys("uw:{*") == []


@pytest.mark.parametrize("none", [None, "", "None"])
def test_a_pipeline_may_be_left_out(none):
    kwargs = {"execution_id": EXECUTION, "organization_id": "org_1", "pipeline_id": none}

    callback = read_callback([RESULT], (), kwargs)

    assert (callback.pipeline_id, callback.run_id) == (None, f"{EXECUTION}.callback")


def test_a_run_without_id_of_its_execution_is_refused():
    with pytest.raises(MessageError, match="execution_id"):
        read_callback([], (), {"organization_id": "org_1"})


def test_chord_unlock_is_refused_without_a_result_backend(rig, app):
    call(app, "celery.chord_unlock", "group", {"task": NAMES[0]})

    (reason,) = rig.letters()
    assert "CHORD_COMPAT" in reason


def test_chord_unlock_stays_celery_s_own_with_a_result_backend(rig):
    app = Celery("callback", set_as_current=False)
    app.conf.result_backend = "cache+memory://"
    tasks.register(app, lambda: rig.runtime)
    unlock = app.tasks["celery.chord_unlock"]
    assert unlock.__module__ == "celery.app.builtins"
    assert unlock.acks_late

    with pytest.raises(Retry):  # the chord's results are not there yet: it looks again
        unlock.apply(
            args=["group", {"task": NAMES[0], "args": [], "kwargs": {}}], kwargs={"result": [["a", None]]}, throw=True
        )
    assert 'name="celery.chord_unlock",outcome="retried"} 1.0' in rig.runtime.metrics.render().decode()


def test_a_doorbell_finalises_its_run(rig, app):
    prepared = rig.run([rig.ok(1)])

    call(app, "unstract_worker.finalise", run_id=prepared.id, schema=1)

    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)


@pytest.mark.parametrize("bell", [{"schema": 2}, {"schema": 99, "run_id": None}, {"run_id": "unknown"}])
def test_a_doorbell_of_a_newer_form_or_of_no_run_is_harmless(rig, app, bell):
    prepared = rig.run([rig.ok(1)])

    call(app, "unstract_worker.finalise", **({"run_id": prepared.id, "schema": 1} | bell))

    assert rig.state(prepared.id) is RunState.READY
    assert rig.letters() == []


@pytest.mark.parametrize("bell", [{}, {"run_id": 7}, {"run_id": "a b"}])
def test_a_doorbell_that_cannot_be_read_becomes_a_dead_letter(rig, app, bell):
    call(app, "unstract_worker.finalise", **bell)

    assert len(rig.letters()) == 1


def test_only_chord_messages_are_acknowledged_late(app):
    assert app.tasks["unstract_worker.finalise"].acks_late is False
    assert all(app.tasks[name].acks_late for name in NAMES)
