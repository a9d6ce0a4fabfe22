"""Starting ETL executions against a real Redis and the reference backend."""

import json
import re
import threading
from uuid import uuid4

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.backend.files import FileStatusUpdate
from unstract_worker_core.backend.history import FileHistory
from unstract_worker_core.backend.workflows import SourceFile, UnreadableFile
from unstract_worker_core.errors import BackendUnavailable, LeaseLost, OutcomeUnknown, SteppedAside
from unstract_worker_core.ledger import BatchClaim, FileItem, RunContext, RunState, RunTask
from unstract_worker_core.runs.files_in_use import ActiveFile, ActiveFiles, active_file, mark_key
from unstract_worker_core.runs.run_handler import accept_start, handle_run
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_general import start as start_module
from unstract_worker_general.start import read_listing, skip_reason
from unstract_worker_general.tasks import ORCHESTRATE_JOBS


def accept(rig, workflow, execution, **kwargs):
    accept_start(rig.runtime, rig.delivery(rig.organization, workflow, execution, {}, **kwargs), RunKind.ETL)


def begin(rig, folder, **kwargs):
    workflow = rig.workflow(folder)
    execution = rig.execution(workflow)
    accept(rig, workflow, execution, **kwargs)
    return workflow, execution


def orchestrate(rig, execution):
    return handle_run(rig.runtime, execution, ORCHESTRATE_JOBS)


def state(rig, run):
    return rig.runtime.ledger.runs.state(run)


def context(rig, run):
    return serialization.decode(rig.redis.get(f"uw:{{{run}}}:context"), RunContext)


def batches(rig, run, count):
    claims = [rig.runtime.ledger.batches.claim(run, 1, batch, "t") for batch in range(count)]
    assert all(isinstance(claim, BatchClaim) for claim in claims)
    return [claim.files for claim in claims]


def die_at(rig, monkeypatch, field):
    """The worker dies right before it journals `field`: the step was done, but is not journalled."""
    runs = rig.runtime.ledger.runs
    journal = runs.journal

    def dying(claim, notes):
        if field in notes:
            monkeypatch.setattr(runs, "journal", journal)
            raise LeaseLost("dead")
        return journal(claim, notes)

    monkeypatch.setattr(runs, "journal", dying)


def test_files_of_the_source_become_rows_and_batches(rig, folder):
    rig.dev(
        "POST",
        "/dev/configuration",
        {"organization_id": rig.organization, "key": "MAX_PARALLEL_FILE_BATCHES", "value": 2},
    )
    workflow, execution = begin(rig, folder)
    assert rig.starts == [(execution, RunTask.EXECUTION, RunKind.ETL)]
    assert orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED
    assert rig.batches == [(execution, 1, 0, RunKind.ETL), (execution, 1, 1, RunKind.ETL)]
    first, second = batches(rig, execution, 2)
    assert [(item.number, item.name) for item in first] == [(1, "a.txt"), (3, "c.txt")]
    assert [(item.number, item.name) for item in second] == [(2, "b.txt")]
    seen = rig.seen(execution)
    assert (seen["status"], seen["total_files"], seen["attempts"]) == ("EXECUTING", 3, 1)
    assert [row["status"] for row in seen["files"]] == ["PENDING"] * 3
    assert {row["id"] for row in seen["files"]} == {item.file_execution_id for item in first + second}
    stored = context(rig, execution)
    assert (stored.total_files, stored.log_channel, stored.workflow_id) == (3, "channel-1", workflow)
    assert stored.use_file_history


def test_connector_credentials_are_stored_nowhere(rig, folder):
    _, execution = begin(rig, folder)
    orchestrate(rig, execution)
    hashes = [rig.redis.hgetall(key) for key in rig.redis.keys("uw:*") if rig.redis.type(key) == "hash"]
    texts = [rig.redis.get(key) for key in rig.redis.keys("*") if rig.redis.type(key) == "string"]
    everything = json.dumps([hashes, texts])
    assert "a.txt" in everything
    assert "canary-credential" not in everything


def test_each_effect_carries_its_organization_and_a_key(rig, folder):
    _, execution = begin(rig, folder)
    orchestrate(rig, execution)
    (key,) = {each["key"] for each in rig.effects("files.create", execution_id=execution)}
    assert re.fullmatch(f"{execution}:1:[0-9a-f]{{16}}:rows", key)
    statuses = rig.effects("executions.update_status", execution_id=execution)
    assert [each["key"] for each in statuses] == [f"{execution}:1:-:executing", f"{execution}:1:-:total_files"]
    assert {each["organization"] for each in statuses} == {rig.organization}


def test_a_repeated_message_and_a_repeated_doorbell_change_nothing(rig, folder):
    workflow, execution = begin(rig, folder)
    accept(rig, workflow, execution)
    assert orchestrate(rig, execution)
    assert not orchestrate(rig, execution)
    accept(rig, workflow, execution)
    assert len(rig.starts) == 2
    assert len(rig.batches) == 1
    assert len(rig.effects("files.create", execution_id=execution)) == 3


def test_a_crash_between_a_row_and_its_note_makes_no_second_row(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    die_at(rig, monkeypatch, "row:2")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    assert not orchestrate(rig, execution), "the dead worker's lease still lives"
    rig.lapse(execution)
    assert orchestrate(rig, execution)
    created = rig.effects("files.create", execution_id=execution)
    assert [each["file"] for each in created] == ["inbox/a.txt", "inbox/b.txt", "inbox/c.txt"]
    (files,) = batches(rig, execution, 1)
    assert {each["file_execution_id"] for each in (one["detail"] for one in created)} == {
        item.file_execution_id for item in files
    }
    asked = [each["path"] for each in rig.requests() if each["path"].startswith("/internal/v1/file-execution/")]
    assert [path.split("/")[4] for path in asked[:3]] == ["batch-create", "batch-status-update", ""], "no second create"
    assert len(rig.effects("executions.update_status", execution_id=execution)) == 2, "no status is written again"


def test_files_that_ended_before_the_ledger_lost_the_run_count(rig, folder):
    workflow, execution = begin(rig, folder)
    orchestrate(rig, execution)
    done, failed, _ = rig.seen(execution)["files"]
    files = rig.runtime.backend.files
    for row, status in ((done, ExecutionStatus.COMPLETED), (failed, ExecutionStatus.ERROR)):
        files.update_status(rig.organization, row["id"], FileStatusUpdate(status=status))
    (folder / done["name"]).unlink()
    rig.redis.flushall()
    accept(rig, workflow, execution)
    assert orchestrate(rig, execution)
    (again,) = batches(rig, execution, 1)
    assert done["name"] not in {item.name for item in again}
    stored = context(rig, execution)
    assert (stored.completed_before, stored.failed_before) == (1, 0), "the failed one is at the source, and tried again"
    assert stored.total_files == rig.seen(execution)["total_files"] == 1 + len(again)


def test_files_are_chosen_once(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    die_at(rig, monkeypatch, "row:1")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    (folder / "0.txt").write_text("came later")
    (folder / "c.txt").unlink()
    rig.lapse(execution)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.name for item in files] == ["a.txt", "b.txt", "c.txt"]
    assert rig.seen(execution)["total_files"] == 3


def test_a_row_with_an_unknown_outcome_is_looked_for(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("cut_after", r"v1/file-execution/batch-create/$", method="POST", count=1)
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, execution)
    assert rig.meta(execution)["owner"] == ""
    assert rig.meta(execution)["attempts"] == "0"
    orchestrate(rig, execution)
    assert len(rig.effects("files.create", execution_id=execution)) == 3
    assert state(rig, execution) is RunState.ARMED


def test_a_refused_row_fails_its_file_alone(rig, folder):
    _, execution = begin(rig, folder)
    reported = json.dumps({"error": "value too long for type character varying(255)"})
    rig.fault("body", r"v1/file-execution/batch-create/$", status=500, body=reported)
    rig.fault("body", r"v1/file-execution/$", method="POST", status=500, body=reported, count=1, skip=1)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.file_execution_id is None for item in files] == [False, True, False]


def test_invalid_tools_end_the_run(rig, folder):
    workflow = rig.workflow(folder)
    body = {"organization_id": rig.organization, "workflow_id": workflow}
    rig.dev("POST", "/dev/tool-instances", body | {"tool_id": "classify", "fault": "adapter is gone"})
    execution = rig.execution(workflow)
    accept(rig, workflow, execution)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    assert rig.callbacks == [execution]
    assert context(rig, execution).error == "tool validation failed: classify: adapter is gone"
    assert rig.effects("files.create", execution_id=execution) == []


def test_valid_tools_let_it_pass(rig, folder):
    workflow = rig.workflow(folder)
    rig.dev("POST", "/dev/tool-instances", {"organization_id": rig.organization, "workflow_id": workflow})
    execution = rig.execution(workflow)
    accept(rig, workflow, execution)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


def test_tools_that_the_backend_passes_over_are_not_valid(rig, folder):
    workflow = rig.workflow(folder)
    rig.dev("POST", "/dev/tool-instances", {"organization_id": rig.organization, "workflow_id": workflow})
    execution = rig.execution(workflow)
    accept(rig, workflow, execution)
    nothing = {"success": True, "validated_instances": [], "errors": [], "workflow_id": workflow}
    rig.fault("body", "tool-execution/validate", body=json.dumps(nothing), status=200)
    orchestrate(rig, execution)
    assert context(rig, execution).error == "tool validation failed: not validated: text_extractor"


def test_a_listing_that_is_refused_is_an_error_not_an_empty_run(rig, folder):
    workflow, execution = begin(rig, folder)
    gone = json.dumps(
        {"error": "Failed to get source files", "detail": "WorkflowEndpoint matching query does not exist."}
    )
    rig.fault("body", f"source-files/{workflow}", status=500, body=gone)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    error = context(rig, execution).error
    assert error is not None
    assert "WorkflowEndpoint matching query does not exist" in error


def test_a_source_that_is_gone_is_an_error_not_an_empty_run(rig, folder):
    _, execution = begin(rig, folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("workflow.source_files: ")
    assert state(rig, execution) is RunState.READY


def test_what_keeps_failing_without_a_reason_is_an_error_after_five_attempts(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("html", "tool-instances", status=500)
    for attempt in range(5):
        with pytest.raises(BackendUnavailable):
            orchestrate(rig, execution)
        assert rig.meta(execution)["attempts"] == str(attempt + 1)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("starting failed 5 times, last: workflow.tool_instances")


def test_no_files_is_a_run_without_batches(rig, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    _, execution = begin(rig, empty)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    stored = context(rig, execution)
    assert (stored.total_files, stored.error, stored.stopped) == (0, None, False)
    assert rig.callbacks == [execution]


def listed(rig, workflow, execution):
    """The files of the source as the marks know them, by name."""
    path = f"/internal/v1/workflow-manager/source-files/{workflow}/"
    files = rig.dev("POST", path, {"execution_id": execution})["files"].values()
    return {each["file_name"]: ActiveFile(each["provider_file_uuid"], each["file_path"]) for each in files}


def marks_of(rig, workflow, execution):
    return ActiveFiles(rig.redis, workflow, execution, 300)


def test_files_marked_by_another_execution_are_left_out_by_name_and_the_user_is_told(rig, folder):
    workflow, execution = begin(rig, folder)
    other = rig.execution(workflow)
    marks_of(rig, workflow, other).mark([listed(rig, workflow, execution)["b.txt"]])
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [(item.number, item.name) for item in files] == [(1, "a.txt"), (2, "c.txt")]
    assert context(rig, execution).total_files == 2
    assert f"Left out (in use by execution {other}): inbox/b.txt" in rig.ui_log()


def test_files_with_rows_of_another_execution_are_left_out_by_name_and_the_user_is_told(rig, folder):
    workflow, first = begin(rig, folder)
    orchestrate(rig, first)
    assert rig.marks() == [], "its rows say so"
    second = rig.execution(workflow, log_events_id="channel-2")
    accept(rig, workflow, second)
    (folder / "d.txt").write_text("new")
    orchestrate(rig, second)
    (files,) = batches(rig, second, 1)
    assert [item.name for item in files] == ["d.txt"]
    assert f"Left out (in use by execution {first}): inbox/a.txt, inbox/b.txt, inbox/c.txt" in rig.ui_log("channel-2")


@pytest.mark.parametrize("status", ["COMPLETED", "ERROR", "STOPPED", "unknown"])
def test_marks_of_an_execution_that_has_ended_do_not_count(rig, folder, status):
    """Its worker died, or is one of the platform's own that never releases them."""
    workflow, execution = begin(rig, folder)
    other = str(uuid4())
    if status != "unknown":
        other = rig.execution(workflow)
        rig.dev("POST", f"/internal/v1/workflow-execution/{other}/update_status/", {"status": status})
    marks_of(rig, workflow, other).mark(listed(rig, workflow, execution).values())
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.name for item in files] == ["a.txt", "b.txt", "c.txt"]
    assert rig.marks() == []


@pytest.mark.parametrize("mark", ["not JSON", '{"data": {"execution_id": "no id of the backend"}}'])
def test_a_mark_whose_execution_cannot_be_asked_about_counts(rig, folder, mark):
    workflow, execution = begin(rig, folder)
    rig.redis.set(mark_key(workflow, listed(rig, workflow, execution)["b.txt"]), mark)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.name for item in files] == ["a.txt", "c.txt"]


def test_a_mark_whose_execution_the_backend_refuses_to_show_counts_and_ends_nothing(rig, folder):
    workflow, execution = begin(rig, folder)
    other = rig.execution(workflow)
    marks_of(rig, workflow, other).mark([listed(rig, workflow, execution)["b.txt"]])
    rig.fault("body", f"workflow-execution/{other}", status=200, body='{"execution": {"total_files": NaN}}')
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.name for item in files] == ["a.txt", "c.txt"]
    assert f"Left out (in use by execution {other}): inbox/b.txt" in rig.ui_log()


def test_whether_an_execution_with_marks_has_ended_is_never_guessed(rig, folder):
    workflow, execution = begin(rig, folder)
    other = rig.execution(workflow)
    marks_of(rig, workflow, other).mark(listed(rig, workflow, execution).values())
    rig.fault("status", f"workflow-execution/{other}", status=503)
    with pytest.raises(BackendUnavailable):
        orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ACCEPTED


def test_files_are_marked_and_journalled_a_page_at_a_time(rig, folder, monkeypatch):
    monkeypatch.setattr(start_module, "_PAGE_FILES", 2)
    _, execution = begin(rig, folder)

    orchestrate(rig, execution)

    journal = rig.redis.hgetall(f"uw:{{{execution}}}:journal")
    assert sorted(len(json.loads(keys)) for name, keys in journal.items() if name.startswith("marks:")) == [1, 2]
    files = json.loads(journal["files"])
    assert [(each["number"], each["name"]) for each in files] == [(1, "a.txt"), (2, "b.txt"), (3, "c.txt")]
    assert journal["files"] == serialization.dumps(files)
    assert rig.marks() == [], "all pages are released"


def test_marks_live_until_the_rows_show_a_status(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    die_at(rig, monkeypatch, "row:1")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    assert len(rig.marks()) == 3
    rig.lapse(execution)
    orchestrate(rig, execution)
    assert rig.marks() == []


def test_marks_of_an_attempt_that_died_before_its_choice_are_released_too(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    die_at(rig, monkeypatch, "files")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    assert len(rig.marks()) == 3
    (folder / "c.txt").unlink()
    rig.lapse(execution)
    orchestrate(rig, execution)
    assert rig.marks() == []


def test_marks_of_a_run_that_ends_without_a_finaliser_are_released(rig, folder):
    """The execution is over before its rows are made: nothing is left to finalise."""
    _, execution = begin(rig, folder)
    path = f"/internal/v1/workflow-execution/{execution}/update_status/"
    answer = json.dumps({"status": "skipped", "reason": "already_final"})
    rig.fault("body", path, body=answer)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.DONE
    assert rig.marks() == []


def test_a_cache_redis_that_is_away_when_marks_are_released_stops_no_run(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)

    def away(self, keys):
        raise SteppedAside("the cache Redis is away")

    monkeypatch.setattr(ActiveFiles, "release", away)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED
    assert "marks released" not in rig.redis.hgetall(f"uw:{{{execution}}}:journal")


def test_a_failing_check_is_not_read_as_none_active(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("status", "check-active", status=503)
    with pytest.raises(BackendUnavailable):
        orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ACCEPTED
    assert rig.redis.keys("file_active:*") == []
    rig.unfault()
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


def test_an_unreachable_backend_charges_nothing(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("status", "v1/", status=503)
    for _ in range(7):
        with pytest.raises(BackendUnavailable):
            orchestrate(rig, execution)
    meta = rig.meta(execution)
    assert (meta["state"], meta["attempts"], meta["owner"]) == ("ACCEPTED", "0", "")
    rig.unfault()
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


def test_an_unknown_execution_becomes_a_dead_letter(rig, folder):
    workflow, execution = rig.workflow(folder), str(uuid4())
    accept(rig, workflow, execution)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.DONE
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert letter.task_id == execution
    assert "cannot be started" in letter.reason


def test_a_stopped_execution_is_finalised_as_stopped(rig, folder):
    _, execution = begin(rig, folder)
    rig.dev("POST", f"/dev/executions/{execution}/stop")
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    assert context(rig, execution).stopped
    assert rig.effects("executions.update_status", execution_id=execution) == []


def test_a_stop_between_two_attempts_is_not_overwritten(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    die_at(rig, monkeypatch, "row:3")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    rig.dev("POST", f"/dev/executions/{execution}/stop")
    rig.lapse(execution)
    orchestrate(rig, execution)
    assert rig.seen(execution)["status"] == "STOPPED"
    assert context(rig, execution).stopped


def test_a_stop_while_the_source_is_listed_is_not_written_over(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)
    workflows = rig.runtime.backend.workflows
    listing = workflows.source_files

    def stopped_in_between(*args, **kwargs):
        found = listing(*args, **kwargs)
        rig.dev("POST", f"/dev/executions/{execution}/stop")
        return found

    monkeypatch.setattr(
        type(workflows), "source_files", lambda self, *args, **kwargs: stopped_in_between(*args, **kwargs)
    )
    orchestrate(rig, execution)
    assert rig.seen(execution)["status"] == "STOPPED"
    assert context(rig, execution).stopped
    assert (rig.batches, rig.seen(execution)["files"]) == ([], [])


def test_file_workers_learn_when_the_backend_last_said_that_it_executes(rig, folder):
    _, execution = begin(rig, folder)
    orchestrate(rig, execution)
    known = context(rig, execution).executing_seconds
    assert known is not None
    assert 0 <= known < 5
    claim = rig.runtime.ledger.batches.claim(execution, 1, 0, "t")
    assert isinstance(claim, BatchClaim)
    assert 0 <= claim.armed_seconds < 5


def test_one_read_of_the_execution_before_each_status_and_none_besides(rig, folder):
    _, execution = begin(rig, folder)
    orchestrate(rig, execution)
    asked = [(each["method"], each["path"].removeprefix("/internal/v1/")) for each in rig.requests()]
    of_execution = [method for method, path in asked if path.startswith(f"workflow-execution/{execution}/")]
    assert of_execution == ["GET", "POST", "GET", "POST"]


@pytest.mark.parametrize("before", [0, 1])
def test_a_start_that_the_backend_calls_final_is_left_to_it(rig, folder, before):
    _, execution = begin(rig, folder)
    skipped = json.dumps({"status": "skipped", "reason": "already_final"})
    rig.fault("body", "update_status", status=200, body=skipped, skip=before)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.DONE
    final = rig.runtime.ledger.runs.final(execution)
    assert final is not None
    assert final.error == "already_final"
    assert rig.effects("files.create", execution_id=execution) == []


def test_a_refusal_that_is_not_about_one_file_ends_the_run(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("status", r"v1/file-execution/(batch-create/)?$", method="POST", status=404)
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("file-execution.create: ")


def test_a_first_status_that_is_refused_for_some_rows_is_no_reason_to_stop(rig, folder):
    _, execution = begin(rig, folder)
    reported = {"successful_updates": [{}, {}], "failed_updates": [{"file_execution_id": "x", "error": "no"}]}
    rig.fault("body", "batch-status-update", status=200, body=json.dumps(reported))
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


@pytest.mark.parametrize(
    ("fault", "singly"),
    [({"status": 413, "count": 1}, 0), ({"status": 413}, 3), ({"status": 405}, 3), ({"status": 404}, 3)],
)
def test_first_statuses_that_cannot_be_written_together_are_written_in_parts(rig, folder, fault, singly):
    _, execution = begin(rig, folder)
    rig.fault("status", "batch-status-update", **fault)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED
    assert [row["status"] for row in rig.seen(execution)["files"]] == ["PENDING"] * 3
    paths = [
        each["path"] for each in rig.requests() if re.search(r"file-execution/[-0-9a-f]{36}/status/$", each["path"])
    ]
    assert len(paths) == singly


@pytest.mark.parametrize("status", [413, 405])
def test_rows_that_cannot_be_made_together_are_made_in_parts(rig, folder, status):
    _, execution = begin(rig, folder)
    rig.fault("status", "batch-create", status=status)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert len({item.file_execution_id for item in files}) == 3


def test_a_file_whose_row_alone_is_too_large_for_a_proxy_does_not_cost_the_others_theirs(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("status", "batch-create", status=413)
    rig.fault("status", "/file-execution/$", method="POST", status=413, count=1)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.file_execution_id is None for item in files] == [True, False, False]


def test_a_listing_is_read_file_by_file():
    files = [
        SourceFile("a.txt", "in/a.txt", provider_file_uuid="u"),
        SourceFile("b\n.txt", "in/b\n.txt", provider_file_uuid="v"),
        SourceFile("c.txt", "../c.txt"),
        SourceFile("a.txt", "in/a.txt"),
        SourceFile("d.txt", "in/d.txt", fs_metadata=["not", "an", "object"], file_size=5),
        UnreadableFile("in/e.txt", "file_name: expected str, got int"),
    ]
    items = read_listing(files)
    assert [(item.name, item.path, item.size) for item in items] == [
        ("a.txt", "in/a.txt", 0), ("b%0A.txt", "in/b%0A.txt", 0), ("c.txt", "%2E%2E/c.txt", 0),
        ("d.txt", "in/d.txt", 5), ("in/e.txt", "in/e.txt", 0),
    ]  # fmt: skip
    assert [item.refused and item.refused.partition("used: ")[2] for item in items] == [
        None, "file_name: a line break or a control character in it", "file_path: the path leaves its folder",
        None, "file_name: expected str, got int",
    ]  # fmt: skip
    assert [active_file(item) for item in items] == [ActiveFile("u", "in/a.txt"), None, None, None, None]


def test_an_unreadable_file_of_the_source_has_its_row_and_place_in_a_batch(rig, folder):
    (folder / "d\u2028.txt").write_text("odd")
    _, execution = begin(rig, folder)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.name for item in files] == ["a.txt", "b.txt", "c.txt", "d%E2%80%A8.txt"]
    assert (
        files[-1].refused
        == "the file's description cannot be used: file_name: a line break or a control character in it"
    )
    rows = {row["id"]: row["name"] for row in rig.seen(execution)["files"]}
    assert [rows[item.file_execution_id] for item in files] == [item.name for item in files]
    assert context(rig, execution).total_files == 4


def test_a_listing_that_is_no_strict_json_costs_only_the_files_that_it_is_not_for(rig, folder):
    workflow, execution = begin(rig, folder)
    good = {"file_name": "a.txt", "file_path": "inbox/a.txt", "provider_file_uuid": "u1"}
    loose = ['"\\ud800.txt"', '"\\ud801.txt"', "NaN", "Infinity", "9" * 5000, '{"a": 1, "a": 2}']
    entries = [
        f'"inbox/{number}": {{"file_name": {text}, "file_path": "x{number}"}}' for number, text in enumerate(loose)
    ]
    entries += [
        f'"more": {json.dumps({**good, "file_path": "inbox/more", "provider_file_uuid": "u2"})[:-1]}, "file_size": NaN}}'
    ]
    entries += [f'"last": {json.dumps({**good, "file_path": "inbox/z.txt", "file_name": "z.txt"})}']
    body = f'{{"files": {{"first": {json.dumps(good)}, {", ".join(entries)}}}, "total_files": {len(entries) + 1}}}'
    rig.fault("body", f"source-files/{workflow}", status=200, body=body)
    orchestrate(rig, execution)
    (items,) = batches(rig, execution, 1)
    assert [item.refused is None for item in items] == [True, *[False] * 7, True]
    rows = {row["id"]: row["name"] for row in rig.seen(execution)["files"]}
    assert [rows[item.file_execution_id] for item in items] == [item.name for item in items]
    assert [item.name for item in items[1:3]] == ["%ED%A0%80.txt", "%ED%A0%81.txt"]
    assert items[1].refused.endswith("file_name: text that is not Unicode")


def test_a_file_whose_history_cannot_be_read_fails_alone(rig, folder):
    _, execution = begin(rig, folder)
    found = {"found": True, "file_history": {"id": "1", "status": "ERROR", "execution_count": "LOOSE"}}
    answer = {"file_histories": {"1": {"found": False}, "2": found, "3": {"found": False}}}
    rig.fault("body", "batch-lookup", status=200, body=json.dumps(answer).replace('"LOOSE"', "NaN"))
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert [item.refused for item in files] == [
        None, "its file history cannot be read: FileHistory.execution_count: expected int, got float", None,
    ]  # fmt: skip
    assert [item.name for item in files] == ["a.txt", "b.txt", "c.txt"]
    assert files[1].unsupported
    assert len(rig.seen(execution)["files"]) == 3


def history(rig, workflow, name, times=1, **more):
    """What `times` executions of a source's file left behind."""
    body = {
        "workflow_id": workflow, "file_hash": f"{name}-hash".ljust(40, "0"), "file_name": name,
        "file_path": f"inbox/{name}", "status": "ERROR", "organization_id": rig.organization,
    }  # fmt: skip
    for _ in range(times):
        rig.dev("POST", "/internal/v1/file-history/create/", body | more)


def test_files_at_their_limit_and_files_at_work_are_left_out_by_name(rig, folder):
    (folder / "d.txt").write_text("content of d.txt")
    workflow = rig.workflow(folder)
    execution = rig.execution(workflow)
    files = {
        name: {"provider_file_uuid": file.provider_file_uuid} for name, file in listed(rig, workflow, execution).items()
    }
    history(rig, workflow, "a.txt", 3, **files["a.txt"])
    history(rig, workflow, "b.txt", 2, **files["b.txt"])
    history(rig, workflow, "c.txt", 1, **files["c.txt"], status="EXECUTING")
    history(rig, workflow, "d.txt", 1, **files["d.txt"], status="COMPLETED", file_path="inbox/elsewhere/d.txt")
    accept(rig, workflow, execution)
    orchestrate(rig, execution)
    (chosen,) = batches(rig, execution, 1)
    assert [item.name for item in chosen] == ["b.txt", "d.txt"]
    lines = rig.ui_log()
    assert (
        "Left out (executed 3 times, the limit is 3 (MAX_FILE_EXECUTION_COUNT); clear its file history to have it "
        "processed again): inbox/a.txt"
    ) in lines
    assert "Left out (its file history says EXECUTING): inbox/c.txt" in lines
    assert "Files found at the source: 4, to process: 2." in lines
    (asked,) = [each for each in rig.requests() if each["path"].endswith("batch-lookup/")]
    assert asked["status"] == 200


def test_without_file_history_no_limit_is_asked_for(rig, folder):
    workflow, execution = begin(rig, folder, use_file_history=False)
    history(rig, workflow, "a.txt", 5, provider_file_uuid=listed(rig, workflow, execution)["a.txt"].provider_file_uuid)
    orchestrate(rig, execution)
    (files,) = batches(rig, execution, 1)
    assert len(files) == 3
    assert not [each for each in rig.requests() if each["path"].endswith("batch-lookup/")]


def test_a_history_that_cannot_be_asked_is_not_read_as_none(rig, folder):
    _, execution = begin(rig, folder)
    rig.fault("status", "batch-lookup", status=503)
    with pytest.raises(BackendUnavailable):
        orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ACCEPTED
    assert rig.marks() == []


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({"status": "ERROR"}, None),
        ({"status": "ERROR", "execution_count": 3, "max_execution_count": 3, "has_exceeded_limit": True}, "executed 3"),
        ({"status": "COMPLETED", "has_exceeded_limit": True, "file_path": "elsewhere"}, "executed 0 times (MAX"),
        ({"status": "COMPLETED", "file_path": "in/a"}, "processed before"),
        ({"status": "PENDING", "file_path": "in/a"}, "its file history says PENDING"),
        ({"status": "EXECUTING", "file_path": "in/a"}, "its file history says EXECUTING"),
        ({"status": "STOPPED", "file_path": "in/a"}, None),
        ({"status": "COMPLETED", "file_path": "in/b"}, None),
        ({"status": "COMPLETED", "file_path": None}, None),
    ],
)
def test_what_a_history_says_of_a_file(found, reason):
    row = FileHistory("id", ExecutionStatus(found.pop("status")), **found)
    reported = skip_reason(FileItem(1, "a", "in/a"), row)
    assert (reported is None) if reason is None else (reported is not None and reported.startswith(reason))


@pytest.mark.parametrize("status", ["COMPLETED", "ERROR"])
def test_a_terminal_execution_is_left_as_it_is(rig, folder, status):
    _, execution = begin(rig, folder)
    path = f"/internal/v1/workflow-execution/{execution}/update_status/"
    rig.dev("POST", path, {"status": status})
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.DONE
    final = rig.runtime.ledger.runs.final(execution)
    assert final is not None
    assert final.status is ExecutionStatus(status)
    assert rig.callbacks == []
    assert len(rig.effects("executions.update_status", execution_id=execution)) == 1


def test_a_refused_message_ends_the_execution(rig, folder):
    workflow = rig.workflow(folder)
    execution = rig.execution(workflow)
    accept(rig, workflow, execution, use_file_history="yes")
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("start message refused: use_file_history")


def test_a_message_that_no_json_can_hold_ends_the_execution(rig, folder):
    workflow = rig.workflow(folder)
    execution = rig.execution(workflow)
    accept(rig, workflow, execution, llm_profile_id=None, custom_data={"value": float("nan")})
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("start message refused: custom_data")


def test_a_drain_hands_the_run_back(rig, folder):
    _, execution = begin(rig, folder)
    rig.runtime.draining.set()
    with pytest.raises(SteppedAside):
        orchestrate(rig, execution)
    meta = rig.meta(execution)
    assert (meta["state"], meta["attempts"], meta["owner"]) == ("ACCEPTED", "0", "")


def test_many_doorbells_at_once_make_one_run(rig, folder):
    _, execution = begin(rig, folder)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(orchestrate(rig, execution))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [False] * 7 + [True]
    assert len(rig.effects("files.create", execution_id=execution)) == 3
    assert len(rig.batches) == 1


def test_a_doorbell_for_another_worker_is_given_back(rig):
    run = str(uuid4())
    rig.runtime.ledger.runs.accept(run, task=RunTask.WEBHOOK, kind=RunKind.ETL, organization_id="", start="{}")
    assert not orchestrate(rig, run)
    assert rig.meta(run)["owner"] == ""
    assert rig.meta(run)["attempts"] == "0"


def test_an_unexpected_defect_is_charged_and_named_by_its_type_only(rig, folder, monkeypatch):
    _, execution = begin(rig, folder)

    def broken(*args, **kwargs):
        raise RuntimeError("with a secret inside")

    monkeypatch.setattr(rig.runtime.ledger.runs, "arm", broken)
    with pytest.raises(RuntimeError):
        orchestrate(rig, execution)
    meta = rig.meta(execution)
    assert (meta["attempts"], meta["last_error"]) == ("1", "unexpected RuntimeError")
