"""Terminal is one-way: what is terminal already, a user's stop, and the second read-back."""

import json

import pytest

from unstract_worker_callback.final_status import correct_late_write, write_final_status
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate
from unstract_worker_core.errors import BackendUnavailable
from unstract_worker_core.ledger import FinalState, RunState, RunTask
from unstract_worker_core.runs.files_in_use import ActiveFile, ActiveFiles, mark_key
from unstract_worker_core.statuses import ExecutionStatus, RunKind

TERMINAL = [status for status in ExecutionStatus if status.terminal]
OPEN = [status for status in ExecutionStatus if not status.terminal]
PIPELINE = {"COMPLETED": "SUCCESS", "ERROR": "FAILURE", "STOPPED": "FAILURE"}
NOTIFIED = {"COMPLETED": "SUCCESS", "ERROR": "ERROR", "STOPPED": "STOPPED"}


@pytest.mark.parametrize("last_try", [False, True])
@pytest.mark.parametrize("kind", RunKind)
@pytest.mark.parametrize("existing", TERMINAL)
def test_the_first_terminal_status_stays_and_what_was_done_is_not_lost(rig, existing, kind, last_try):
    """A user stopped the run, or the platform ended it: its row has no counts, its caller's list is empty."""
    prepared = rig.prepare(kind)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1), rig.bad(2), rig.skipped(3)])
    rig.set_status(prepared, existing)
    rig.charge(prepared.id, 5 if last_try else 0)

    rig.finalise(prepared)

    assert rig.shown(prepared) == (existing, 3, 1, 1)
    assert [end["detail"]["status"] for end in rig.ends(prepared)] == [existing, existing]
    assert [item["file"] for item in rig.results(prepared)] == (
        [] if kind is RunKind.ETL else ["file-1.txt", "file-2.txt"]
    )
    assert rig.final(prepared).status is existing
    (event,) = rig.events(prepared)
    assert event["additional_data"] == {"total_files": 3, "successful_files": 1, "failed_files": 1}
    if kind is RunKind.ETL:
        assert rig.pipeline_writes(prepared) == [PIPELINE[existing]]
        assert event["status"] == NOTIFIED[existing]
    else:
        assert event["status"] == existing


@pytest.mark.parametrize("kind", RunKind)
def test_a_status_of_an_attempt_before_this_one_is_not_written_again(rig, kind):
    prepared = rig.prepare(kind)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("status", "execution/cleanup|notifications|pipeline/", status=503)
    rig.subscribe(prepared)
    rig.finalise(prepared)
    assert (rig.state(prepared.id), len(rig.ends(prepared))) == (RunState.READY, 1)
    rig.platform.delete(rig.list_key(prepared))  # the caller has read it
    rig.heal()

    rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    assert rig.results(prepared) == []
    assert rig.state(prepared.id) is RunState.DONE


@pytest.mark.parametrize("existing", [ExecutionStatus.COMPLETED, ExecutionStatus.ERROR])
def test_an_execution_that_ended_before_this_run_had_files_is_left_alone(rig, existing):
    """A start message that was delivered again, long after: its tools are gone, or it has no files any more."""
    prepared = rig.prepare(RunKind.ETL)
    rig.subscribe(prepared)
    rig.arm(prepared, error="tool validation failed")
    rig.set_status(prepared, existing, total_files=2, successful_files=1, failed_files=1)

    rig.finalise(prepared)

    assert rig.shown(prepared) == (existing, 2, 1, 1)
    assert (rig.pipeline_writes(prepared), rig.notified(prepared)) == ([], [])
    assert rig.final(prepared).status is existing


def test_a_stop_before_this_run_had_files_counts_what_an_earlier_one_did(rig):
    prepared = rig.prepare(RunKind.ETL)
    for name, status in (("a", "COMPLETED"), ("b", "ERROR"), ("c", "EXECUTING")):
        file = FileHash(file_name=name, file_path=f"in/{name}", source_connection_type="FILESYSTEM")
        files = rig.runtime.backend.files
        row = files.create(rig.organization, prepared.id, prepared.workflow_id, file)
        files.update_status(rig.organization, row.id, FileStatusUpdate(status=ExecutionStatus(status)))
    rig.arm(prepared, stopped=True)
    rig.stop(prepared)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("STOPPED", 3, 1, 1)


def test_counts_that_could_not_be_added_are_added_later(rig):
    prepared = rig.run([rig.ok(1), rig.bad(2)])
    rig.stop(prepared)
    rig.fault("status", "update_status", status=503)
    rig.finalise(prepared)
    assert rig.state(prepared.id) is RunState.READY
    assert len(rig.results(prepared)) == 2
    rig.platform.delete(rig.list_key(prepared))  # the caller has read it
    rig.heal()

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("STOPPED", 2, 1, 1)
    assert rig.results(prepared) == []


def test_counts_that_are_refused_do_not_keep_the_run_open(rig):
    prepared = rig.run([rig.ok(1)])
    rig.stop(prepared)
    rig.fault("status", "update_status", status=400)

    rig.finalise(prepared)

    assert rig.seen(prepared)["status"] == "STOPPED"
    assert rig.state(prepared.id) is RunState.DONE
    assert len(rig.results(prepared)) == 1


def test_a_stop_that_comes_in_between_keeps_its_status_and_gets_the_counts(rig):
    """The first attempt put the results in place and wrote its status, which the user's stop replaced."""
    prepared = rig.run([rig.ok(1), rig.bad(2)])
    rig.fault("status", "update_status", status=503, count=1)
    rig.finalise(prepared)
    rig.stop(prepared)
    rig.platform.delete(rig.list_key(prepared))  # the caller was released by the stop and has read it

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("STOPPED", 2, 1, 1)
    assert rig.results(prepared) == []


def test_the_reason_that_is_kept_is_the_one_in_the_notification(rig):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.set_status(prepared, ExecutionStatus.ERROR, total_files=1, error_message="ended by another worker")

    rig.finalise(prepared)

    (event,) = rig.events(prepared)
    assert event["error_message"] == "ended by another worker"
    assert rig.final(prepared).error == "ended by another worker"


@pytest.mark.parametrize("attempts", [0, 5])
@pytest.mark.parametrize("kind", RunKind)
def test_a_stop_in_the_ledger_ends_the_run_stopped_with_its_counts(rig, kind, attempts):
    prepared = rig.prepare(kind)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1), rig.skipped(2)])
    rig.runtime.ledger.runs.request_stop(prepared.id)
    rig.charge(prepared.id, attempts)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("STOPPED", 2, 1, 0)
    assert rig.pipeline_writes(prepared) == ([] if kind is RunKind.API else ["FAILURE"])
    assert [event["status"] for event in rig.events(prepared)] == ["STOPPED"]
    assert len(rig.results(prepared)) == (1 if kind is RunKind.API else 0)


def test_a_run_that_was_stopped_before_it_had_files_ends_stopped(rig):
    prepared = rig.run((), RunKind.ETL, stopped=True)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("STOPPED", 0, 0, 0)
    assert rig.pipeline_writes(prepared) == ["FAILURE"]


@pytest.mark.parametrize("kind", RunKind)
def test_a_user_s_stop_before_finalising_is_never_written_over(rig, kind):
    prepared = rig.run([rig.ok(1), rig.ok(2)], kind)
    rig.stop(prepared)

    rig.finalise(prepared)

    assert [end["detail"]["status"] for end in rig.ends(prepared)] == ["STOPPED"]
    assert rig.shown(prepared) == ("STOPPED", 2, 2, 0)
    assert rig.final(prepared).status is ExecutionStatus.STOPPED
    assert (rig.final(prepared).total_files, rig.final(prepared).successful_files) == (2, 2)


def test_a_user_s_stop_between_two_attempts_wins(rig):
    prepared = rig.run([rig.ok(1)], RunKind.ETL)
    rig.fault("status", "update_status", status=503, count=1)
    rig.finalise(prepared)
    rig.stop(prepared)

    rig.finalise(prepared)

    assert [end["detail"]["status"] for end in rig.ends(prepared)] == ["STOPPED"]
    assert rig.pipeline_writes(prepared) == ["FAILURE"]


def test_a_user_s_stop_after_the_end_is_left_alone(rig):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.stop(prepared)

    corrected = correct_late_write(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

    assert corrected is False
    assert rig.seen(prepared)["status"] == "STOPPED"


@pytest.mark.parametrize("late", OPEN)
def test_a_late_write_is_corrected_by_the_second_read_back(either_rig, late):
    rig = either_rig
    prepared = rig.run([rig.ok(1), rig.bad(2)])
    rig.finalise(prepared)
    for _ in range(2):  # each late write is one of its own, also for a backend that keeps keys
        rig.set_status(prepared, late)

        assert correct_late_write(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

        assert rig.shown(prepared) == ("COMPLETED", 2, 1, 1)
    assert correct_late_write(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared)) is False


@pytest.mark.parametrize("status", TERMINAL)
def test_the_second_read_back_leaves_every_terminal_status(rig, status):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.set_status(prepared, status)
    before = len(rig.ends(prepared))

    assert correct_late_write(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared)) is False

    assert len(rig.ends(prepared)) == before


def test_the_second_read_back_needs_an_execution_and_a_status(rig):
    backend, gone = rig.runtime.backend, "00000000-0000-4000-8000-000000000000"

    assert correct_late_write(backend, rig.organization, gone, FinalState(ExecutionStatus.COMPLETED)) is False
    began = len(rig.requests())
    assert correct_late_write(backend, rig.organization, gone, FinalState()) is False
    assert len(rig.requests()) == began
    with pytest.raises(ValueError, match="needs a status"):
        write_final_status(backend, rig.organization, gone, FinalState(), "key")


def test_the_second_read_back_says_when_it_could_not_look(rig):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.set_status(prepared, ExecutionStatus.EXECUTING)
    rig.fault("status", "update_status", status=503)

    with pytest.raises(BackendUnavailable):
        correct_late_write(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

    assert rig.state(prepared.id) is RunState.DONE


@pytest.mark.parametrize("end", ["COMPLETED", "ERROR", "STOPPED", "never started", "unknown to the backend"])
def test_marks_of_files_in_use_are_released_however_the_run_ends(rig, end):
    """They were set by an orchestrator that died before it could release them."""
    prepared, runs = rig.prepare(RunKind.ETL), rig.runtime.ledger.runs
    cache = rig.runtime.cache_redis
    marks, file = ActiveFiles(cache, prepared.workflow_id, prepared.id, 300), ActiveFile("etag", "in/a.txt")
    key = mark_key(prepared.workflow_id, file)
    marks.mark([file])
    runs.accept(prepared.id, task=RunTask.EXECUTION, kind=prepared.kind, organization_id=rig.organization, start="{}")
    claim = runs.claim(prepared.id, "an orchestrator", state=RunState.ACCEPTED)
    runs.journal(claim, {"marks:1": json.dumps([key])})
    runs.release(claim)
    if end == "STOPPED":
        rig.stop(prepared)
    if end == "unknown to the backend":
        gone = json.dumps({"error": "WorkflowExecution matches the given query does not exist"})
        rig.fault("body", f"workflow-execution/{prepared.id}", status=404, body=gone)
    outcomes = {"COMPLETED": [rig.ok(1)], "ERROR": [rig.bad(1)], "STOPPED": [rig.skipped(1)]}.get(end, [])
    rig.arm(prepared, outcomes, error="given up after five attempts" if end == "never started" else None)
    assert cache.exists(key)

    rig.finalise(prepared)

    assert not cache.exists(key)
    assert rig.state(prepared.id) is RunState.DONE
