"""Starting API executions against a real Redis and the reference backend."""

import hashlib
import json
from uuid import UUID, uuid4

import pytest

from unstract_worker_api_deployment.start import JOBS, history_hashes
from unstract_worker_core import serialization
from unstract_worker_core.errors import BackendRefused, BackendUnavailable, LeaseLost, OutcomeUnknown
from unstract_worker_core.ledger import FileItem, RunContext, RunState, RunTask
from unstract_worker_core.runs.run_handler import accept_start, handle_run
from unstract_worker_core.statuses import RunKind


def upload(name, text, **more):
    """A file as Django describes it."""
    described = {
        "file_path": f"unstract/api/{name}",
        "file_hash": hashlib.sha256(text.encode()).hexdigest(),
        "file_name": name,
        "source_connection_type": "API",
        "file_destination": None,
        "is_executed": False,
        "file_size": len(text),
        "mime_type": "text/plain",
        "provider_file_uuid": None,
        "fs_metadata": None,
        "file_number": None,
    }
    return described | more


def refused_type(name):
    return upload(name, name, file_hash=f"temp-hash-{uuid4().hex}", is_executed=True)


def begin(rig, *uploads, **kwargs):
    """An execution whose start message is accepted, with UUID objects as Django sends them."""
    workflow = rig.workflow()
    execution = rig.execution(workflow, total_files=len(uploads))
    files = {each["file_name"]: each for each in uploads}
    given = {"use_file_history": False, "transport": "celery", "pipeline_id": None} | kwargs
    delivery = rig.delivery(rig.organization, UUID(workflow), UUID(execution), files, **given)
    accept_start(rig.runtime, delivery, RunKind.API)
    return workflow, execution


def orchestrate(rig, execution):
    return handle_run(rig.runtime, execution, JOBS)


def state(rig, run):
    return rig.runtime.ledger.runs.state(run)


def context(rig, run):
    return serialization.decode(rig.redis.get(f"uw:{{{run}}}:context"), RunContext)


def armed(rig, run):
    claims = [rig.runtime.ledger.batches.claim(run, 1, batch, "t") for _, _, batch, _ in rig.batches]
    return [item for claim in claims for item in claim.files]


def die_at(rig, monkeypatch, field):
    runs = rig.runtime.ledger.runs
    journal = runs.journal

    def dying(claim, notes):
        if field in notes:
            monkeypatch.setattr(runs, "journal", journal)
            raise LeaseLost("dead")
        return journal(claim, notes)

    monkeypatch.setattr(runs, "journal", dying)


def test_uploads_become_rows_and_batches(rig):
    rig.dev(
        "POST",
        "/dev/configuration",
        {"organization_id": rig.organization, "key": "MAX_PARALLEL_FILE_BATCHES", "value": 2},
    )
    pipeline = uuid4()
    _, execution = begin(rig, *(upload(f"{n}.txt", f"text {n}") for n in range(3)), pipeline_id=pipeline)
    assert rig.starts == [(execution, RunTask.EXECUTION, RunKind.API)]
    assert orchestrate(rig, execution)
    assert rig.batches == [(execution, 1, 0, RunKind.API), (execution, 1, 1, RunKind.API)]
    items = sorted(armed(rig, execution), key=lambda item: item.number)
    assert [(item.number, item.name) for item in items] == [(1, "0.txt"), (2, "1.txt"), (3, "2.txt")]
    seen = rig.seen(execution)
    assert (seen["status"], seen["total_files"]) == ("EXECUTING", 3)
    assert [row["id"] for row in seen["files"]] == [item.file_execution_id for item in items]
    assert {row["status"] for row in seen["files"]} == {"PENDING"}
    assert {row["path"] for row in seen["files"]} == {None}, "API rows keep no path"
    stored = context(rig, execution)
    assert (stored.kind, stored.total_files, stored.pipeline_id) == (RunKind.API, 3, str(pipeline))
    assert stored.log_channel == "channel-1"


def test_equal_uploads_share_a_row_and_are_copies(rig):
    _, execution = begin(
        rig, upload("a.txt", "same"), upload("b.txt", "other"), upload("c.txt", "same"), upload("d.txt", "same")
    )
    orchestrate(rig, execution)
    same, other = sorted(armed(rig, execution), key=lambda item: item.number)
    assert (same.name, same.copies, same.uploads) == ("a.txt", ("c.txt", "d.txt"), 3)
    assert (other.name, other.copies) == ("b.txt", ())
    assert len(rig.seen(execution)["files"]) == 2
    assert context(rig, execution).total_files == 4
    assert rig.seen(execution)["total_files"] == 4


def test_unsupported_types_have_a_row_each_and_are_not_looked_up(rig):
    _, execution = begin(rig, refused_type("a.exe"), refused_type("b.exe"), use_file_history=True)
    orchestrate(rig, execution)
    items = armed(rig, execution)
    assert [item.unsupported for item in items] == [True, True]
    assert len({item.file_execution_id for item in items}) == 2
    assert not [each for each in rig.requests() if "check-batch" in each["path"]]


def seen_before(rig, workflow, text):
    body = {
        "organization_id": rig.organization,
        "workflow_id": workflow,
        "file_hash": hashlib.sha256(text.encode()).hexdigest(),
        "file_name": "x.txt",
        "is_api": True,
        "status": "COMPLETED",
        "result": "{}",
        "metadata": "{}",
    }
    rig.dev("POST", "/internal/v1/file-history/create/", body)


@pytest.mark.parametrize("use", [True, False])
def test_history_hits_are_marked_if_wanted(rig, use):
    workflow, execution = begin(rig, upload("a.txt", "old"), upload("b.txt", "new"), use_file_history=use)
    seen_before(rig, workflow, "old")
    orchestrate(rig, execution)
    items = sorted(armed(rig, execution), key=lambda item: item.number)
    assert [item.is_executed for item in items] == [use, False]
    assert [item.unsupported for item in items] == [False, False]
    assert context(rig, execution).use_file_history is use


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("path", ["check-batch", "v1/configuration/"])
def test_what_a_run_can_do_without_does_not_end_it(rig, path, status):
    _, execution = begin(rig, upload("a.txt", "text"), use_file_history=True)
    rig.fault("status", path, status=status)
    orchestrate(rig, execution)
    assert [item.is_executed for item in armed(rig, execution)] == [False]


def test_no_files_is_a_run_without_batches(rig):
    _, execution = begin(rig)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    assert rig.callbacks == [execution]
    stored = context(rig, execution)
    assert (stored.total_files, stored.error) == (0, None)


def test_a_crash_between_a_row_and_its_note_makes_no_second_row(rig, monkeypatch):
    _, execution = begin(rig, *(upload(f"{n}.txt", f"text {n}") for n in range(4)))
    die_at(rig, monkeypatch, "row:3")
    with pytest.raises(LeaseLost):
        orchestrate(rig, execution)
    rig.lapse(execution)
    orchestrate(rig, execution)
    assert len(rig.effects("files.create", execution_id=execution)) == 4
    assert len(row_posts(rig)) == 1, "rows that are not journalled are looked up, not created again"
    rows = {row["id"] for row in rig.seen(execution)["files"]}
    assert {item.file_execution_id for item in armed(rig, execution)} == rows


def test_a_row_with_an_unknown_outcome_is_looked_for(rig):
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    rig.fault("cut_after", r"v1/file-execution/batch-create/$", method="POST", count=1)
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, execution)
    orchestrate(rig, execution)
    assert len(rig.seen(execution)["files"]) == 2
    assert state(rig, execution) is RunState.ARMED


def row_posts(rig):
    """Calls that may create rows, in order."""
    asked = [each for each in rig.requests() if each["method"] == "POST"]
    return [
        each for each in asked if each["path"].endswith(("/v1/file-execution/", "/v1/file-execution/batch-create/"))
    ]


def test_rows_are_created_by_one_call_for_many_and_each_is_pending(rig):
    _, execution = begin(rig, *(upload(f"{n}.txt", f"text {n}") for n in range(6)))
    orchestrate(rig, execution)
    assert len(row_posts(rig)) == 1
    assert [row["status"] for row in rig.seen(execution)["files"]] == ["PENDING"] * 6
    assert len(rig.effects("files.update_status", execution_id=execution)) == 6, "each once"


def test_a_single_file_needs_no_call_for_many(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    orchestrate(rig, execution)
    assert [each["path"] for each in row_posts(rig)] == ["/internal/v1/file-execution/"]


def test_rows_that_were_told_and_taken_back_are_asked_for_again(rig):
    """A late error undoes the whole transaction of a batch that reports its rows as made."""
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    reported = {
        "successful_creations": [
            {"id": str(uuid4()), "file_name": name, "file_path": f"unstract/api/{name}", "status": ""}
            for name in ("a.txt", "b.txt")
        ],
        "failed_creations": [],
        "total_processed": 2,
    }
    rig.fault("body", "batch-create/$", status=201, body=json.dumps(reported))
    orchestrate(rig, execution)
    rows = {row["id"]: row["status"] for row in rig.seen(execution)["files"]}
    assert {item.file_execution_id for item in armed(rig, execution)} == rows.keys()
    assert list(rows.values()) == ["PENDING", "PENDING"]


def test_what_a_batch_could_not_make_is_asked_for_by_itself(rig):
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"), upload("c.txt", "three"))
    failed = [{"file_name": name, "error": "deadlock detected"} for name in ("a.txt", "b.txt", "c.txt")]
    reported = {"successful_creations": [], "failed_creations": failed, "total_processed": 3}
    rig.fault("body", "batch-create/$", status=201, body=json.dumps(reported))
    orchestrate(rig, execution)
    items = sorted(armed(rig, execution), key=lambda item: item.number)
    assert [row["id"] for row in rig.seen(execution)["files"]] == [item.file_execution_id for item in items]
    posts = row_posts(rig)
    assert len(posts) == 4
    assert [each["at"] for each in posts] == sorted(each["at"] for each in posts)


@pytest.mark.parametrize("status", [400, 404])
def test_a_backend_without_the_call_for_many_is_asked_file_by_file(rig, status):
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    rig.fault("status", "batch-create/$", status=status)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED
    assert len(rig.seen(execution)["files"]) == 2


def test_a_batch_that_never_answers_is_not_tried_for_ever(rig):
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    rig.fault("status", "batch-create/$", status=500)
    with pytest.raises(OutcomeUnknown):
        orchestrate(rig, execution)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


def test_tool_validation_failure_ends_the_run_with_its_reason(rig):
    workflow, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    body = {"organization_id": rig.organization, "workflow_id": workflow, "tool_id": "classify"}
    rig.dev("POST", "/dev/tool-instances", body | {"fault": "adapter is gone"})
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.READY
    stored = context(rig, execution)
    assert stored.error == "tool validation failed: classify: adapter is gone"
    assert stored.total_files == 2


def test_the_execution_is_read_once_and_right_before_its_status_is_written(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    orchestrate(rig, execution)
    asked = [(each["method"], each["path"].removeprefix("/internal/v1/")) for each in rig.requests()]
    own = f"workflow-execution/{execution}/"
    assert [path for _, path in asked].count(own) == 1
    assert asked[asked.index(("GET", own)) + 1] == ("POST", f"{own}update_status/")
    assert not [path for _, path in asked if "configuration" in path], "one file needs no limit of batches"


def test_a_refused_message_ends_the_execution(rig):
    _, execution = begin(rig, upload("a.txt", "x"), pipeline_id="../x")
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("start message refused: pipeline_id")
    assert rig.callbacks == [execution]


def test_a_file_that_cannot_be_read_has_its_row_and_does_not_hide_its_siblings(rig):
    bad = upload("../../etc/passwd", "x", file_path="../../etc/passwd")
    _, execution = begin(rig, bad, upload("a.txt", "one"), upload("b.txt", "two", file_size=-1))
    orchestrate(rig, execution)
    files = armed(rig, execution)
    assert [(item.name, item.refused is not None) for item in files] == [
        ("%2E%2E/%2E%2E/etc/passwd", True), ("a.txt", False), ("b.txt", True),
    ]  # fmt: skip
    assert {row["id"] for row in rig.seen(execution)["files"]} == {item.file_execution_id for item in files}
    assert context(rig, execution).total_files == 3


def test_an_unreachable_backend_charges_nothing(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    rig.fault("status", "v1/workflow-execution", status=503)
    with pytest.raises(BackendUnavailable):
        orchestrate(rig, execution)
    meta = rig.meta(execution)
    assert (meta["state"], meta["attempts"]) == ("ACCEPTED", "0")
    assert rig.redis.zscore("uw:due", execution) is not None
    rig.unfault()
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


@pytest.mark.parametrize("path", ["v1/workflow-execution", "tool-instances", "v1/file-execution", "configuration"])
def test_a_revoked_key_is_waited_for_without_a_loop_and_ends_nothing(rig, path):
    _, execution = begin(rig, upload("a.txt", "one"), upload("b.txt", "two"))
    rig.fault("status", path, status=401)
    for _ in range(6):
        with pytest.raises(BackendRefused):
            orchestrate(rig, execution)
    meta = rig.meta(execution)
    assert (meta["state"], meta["attempts"]) == ("ACCEPTED", "0")
    assert "INTERNAL_SERVICE_API_KEY" in meta["last_error"]
    assert len([each for each in rig.requests() if each["status"] == 401]) == 6
    rig.unfault()
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.ARMED


def test_html_is_no_execution(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    rig.fault("html", "tool-instances", status=200)
    orchestrate(rig, execution)
    error = context(rig, execution).error
    assert error is not None
    assert error.startswith("workflow.tool_instances: expected JSON, got: HTML")


def test_workers_that_keep_dying_on_a_start_end_it(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    for _ in range(5):
        assert rig.runtime.ledger.runs.claim(execution, str(uuid4()), state=RunState.ACCEPTED) is not None
        rig.lapse(execution)
    orchestrate(rig, execution)
    assert context(rig, execution).error == "starting failed 5 times, last: its worker died"


def test_an_unknown_execution_becomes_a_dead_letter(rig):
    execution = str(uuid4())
    delivery = rig.delivery(rig.organization, rig.workflow(), execution, {})
    accept_start(rig.runtime, delivery, RunKind.API)
    orchestrate(rig, execution)
    assert state(rig, execution) is RunState.DONE
    assert rig.runtime.ledger.dead_letters.count() == 1


def test_another_organizations_execution_is_not_touched(rig):
    workflow = rig.workflow()
    execution = rig.execution(workflow)
    rig.dev("POST", "/dev/organizations", {"organization_id": "org_other", "name": "o"})
    accept_start(rig.runtime, rig.delivery("org_other", workflow, execution, {}), RunKind.API)
    orchestrate(rig, execution)
    assert rig.seen(execution)["status"] == "PENDING"
    assert state(rig, execution) in (RunState.READY, RunState.DONE)


def test_an_unreadable_record_becomes_a_dead_letter(rig):
    run = str(uuid4())
    rig.runtime.ledger.runs.accept(run, task=RunTask.EXECUTION, kind=RunKind.API, organization_id="org_x", start="{}")
    orchestrate(rig, run)
    assert state(rig, run) is RunState.DONE
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert "cannot be read" in letter.reason


def test_a_log_event_reaches_the_platforms_redis(rig):
    _, execution = begin(rig, upload("a.txt", "one"))
    orchestrate(rig, execution)
    rig.runtime.log_events.stop()
    reported = [json.loads(rig.redis.get(key)) for key in rig.redis.keys("logs:channel-1:*")]
    assert "Files to process: 1, in batches: 1." in {each["log"] for each in reported}
    assert {each["execution_id"] for each in reported} == {execution}


def test_only_contents_are_asked_for_in_the_history():
    items = (
        FileItem(1, "a", "a", hash="h"),
        FileItem(2, "b", "b", hash=""),
        FileItem(3, "c", "c", hash="temp-hash-1", is_executed=True),
        FileItem(4, "d", "d", hash="known", is_executed=True),
    )
    assert history_hashes(items) == ("h", "known")
