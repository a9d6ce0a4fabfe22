"""Finalising when nothing goes wrong: what is written, in which order, and how often."""

import json

import pytest
from structlog.testing import capture_logs

from unstract_worker_callback import finalise
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.statuses import ExecutionStatus, RunKind


def test_an_api_run_ends_with_its_results_one_status_write_and_a_tombstone(rig):
    prepared = rig.run([rig.ok(1), rig.bad(2)])

    assert rig.finalise(prepared)

    (end,) = rig.ends(prepared)
    assert end["detail"] == {
        "status": "COMPLETED", "before": "EXECUTING", "total_files": 2, "successful_files": 1, "failed_files": 1,
        "error_message": None,
    }  # fmt: skip
    assert rig.results(prepared) == [
        {
            "file": "file-1.txt", "file_execution_id": None, "status": "Success", "result": {"output": "of file-1.txt"},
            "error": None, "metadata": {"source_name": "file-1.txt", "total_pages_processed": 1},
        },
        {
            "file": "file-2.txt", "file_execution_id": None, "status": "Failed", "result": None,
            "error": "Workflow error: unreadable", "metadata": {"source_name": "file-2.txt"},
        },
    ]  # fmt: skip
    assert 86000 < rig.platform.ttl(rig.list_key(prepared)) <= 86400
    assert rig.state(prepared.id) is RunState.DONE
    final = rig.final(prepared)
    assert (final.status, final.total_files, final.successful_files, final.failed_files) == (
        ExecutionStatus.COMPLETED, 2, 1, 1,
    )  # fmt: skip
    assert rig.due_in(prepared.id) > 100  # the second read-back
    assert rig.pipeline_writes(prepared) == []


def test_the_results_are_there_before_the_status_that_releases_the_caller(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("status", "update_status", status=503)

    rig.finalise(prepared)

    assert rig.ends(prepared) == []
    assert [item["file"] for item in rig.results(prepared)] == ["file-1.txt"]
    assert rig.seen(prepared)["status"] == "EXECUTING"


def test_no_status_is_written_while_the_results_cannot_be(rig):
    prepared = rig.run([rig.ok(1)])
    rig.platform.config_set("maxmemory", "1")

    for _ in range(7):  # more often than any number of attempts
        rig.finalise(prepared)

    assert rig.ends(prepared) == []
    assert rig.attempts(prepared.id) == 0  # an unavailable Redis is not charged
    rig.platform.config_set("maxmemory", "0")
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert len(rig.results(prepared)) == 1


def test_an_etl_run_ends_with_its_pipeline_and_without_a_list(rig):
    prepared = rig.run([rig.ok(1), rig.ok(2)], RunKind.ETL)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("COMPLETED", 2, 2, 0)
    assert rig.pipeline_writes(prepared) == ["SUCCESS"]
    assert rig.platform.keys("api_results:*") == []
    assert rig.platform.keys("uw:staging:*") == []
    paths = [(each["method"], each["path"].split("/v1/")[1].split("/")[0]) for each in rig.requests()][2:]
    assert paths == [
        ("GET", "workflow-execution"), ("POST", "workflow-execution"), ("GET", "workflow-execution"),
        ("PUT", "pipeline"), ("POST", "workflow-manager"), ("GET", "webhook"),
    ]  # fmt: skip


@pytest.mark.parametrize("kind", RunKind)
def test_every_effect_carries_a_key_of_the_execution_and_its_epoch(rig, kind):
    prepared = rig.prepare(kind)
    target = rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    before = len(rig.requests())

    rig.finalise(prepared)

    keys = [each["key"] for each in rig.requests()[before:] if each["method"] != "GET"]
    final, status = f"{prepared.id}:1:final", "COMPLETED" if kind is RunKind.API else "SUCCESS"
    pipeline = [] if kind is RunKind.API else [f"{final}:pipeline"]
    assert keys == [final, *pipeline, f"{final}:cleanup", f"{prepared.id}:1:{status}:{target}"]


def test_a_run_without_a_pipeline_notifies_no_subscriber(rig):
    for kind in RunKind:
        prepared = rig.prepare(kind, pipeline=False)
        rig.arm(prepared, [rig.ok(1)])

        rig.finalise(prepared)

        assert rig.seen(prepared)["status"] == "COMPLETED"
        assert rig.state(prepared.id) is RunState.DONE
    assert rig.requests("webhook") == rig.requests("v1/pipeline/") == []


@pytest.mark.parametrize(
    ("kinds", "shown", "pipeline"),
    [
        ("oo", ("COMPLETED", 2, 2, 0), "SUCCESS"),
        ("ob", ("COMPLETED", 2, 1, 1), "SUCCESS"),
        ("bb", ("ERROR", 2, 0, 2), "FAILURE"),
        ("os", ("COMPLETED", 2, 1, 0), "SUCCESS"),
        ("", ("COMPLETED", 0, 0, 0), "SUCCESS"),
    ],
)
def test_the_status_follows_the_files(rig, kinds, shown, pipeline):
    make = {"o": rig.ok, "b": rig.bad, "s": rig.skipped}
    prepared = rig.run([make[kind](number) for number, kind in enumerate(kinds, 1)], RunKind.ETL)

    rig.finalise(prepared)

    assert rig.shown(prepared) == shown
    assert rig.pipeline_writes(prepared) == [pipeline]
    assert (rig.seen(prepared)["error_message"] or "").startswith("all 2 files failed" if kinds == "bb" else "")


def test_the_reason_of_a_start_that_failed_is_the_execution_s(rig):
    prepared = rig.run((), RunKind.API, error="tool validation failed: no adapter", total_files=3)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("ERROR", 3, 0, 0)
    assert rig.seen(prepared)["error_message"] == "tool validation failed: no adapter"
    assert rig.results(prepared) == []


def test_equal_uploads_have_an_item_each_and_many_files_keep_their_order(rig):
    copies = rig.ok(1, "a.txt", copies=("b.txt", "c.txt"))
    many = [rig.ok(number) for number in range(2, 252)]
    prepared = rig.run([copies, *many])

    rig.finalise(prepared)

    names = [item["file"] for item in rig.results(prepared)]
    assert names == ["a.txt", "b.txt", "c.txt", *(f"file-{number}.txt" for number in range(2, 252))]
    assert [item["metadata"]["source_name"] for item in rig.results(prepared)] == names
    assert rig.shown(prepared) == ("COMPLETED", 253, 253, 0)
    assert rig.platform.keys("uw:staging:*") == []


def test_clean_up_that_is_not_offered_is_counted_and_told_once(rig, capsys):
    finalise._warn_not_offered.cache_clear()
    for _ in range(2):
        rig.finalise(rig.run([rig.ok(1)]))

    assert rig.counted("cleanup_not_offered") == 2
    assert capsys.readouterr().out.count("does not offer to clean up") == 1


def test_clean_up_that_is_offered_is_not_counted(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("body", "execution/cleanup", status=200, body=json.dumps({"status": "success"}))

    rig.finalise(prepared)

    assert rig.counted("cleanup_not_offered") == 0
    assert rig.state(prepared.id) is RunState.DONE


@pytest.mark.parametrize("status", [400, 500, 503])
def test_clean_up_that_fails_does_not_keep_the_run(rig, status):
    prepared = rig.run([rig.ok(1)])
    rig.fault("status", "execution/cleanup", status=status)

    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.DONE
    assert len(rig.ends(prepared)) == 1


def test_a_bell_that_finds_nothing_to_do_is_harmless(rig):
    working = rig.prepare()
    rig.arm(working, [rig.ok(1)], ready=False)
    held = rig.run([rig.ok(1)])
    assert rig.runtime.ledger.runs.claim(held.id, "another worker", state=RunState.READY)
    done = rig.run([rig.ok(1)])
    assert rig.finalise(done)

    for prepared in (working, held, done, rig.prepare()):
        assert rig.finalise(prepared) is False

    assert len(rig.ends(done)) == 1
    assert rig.ends(working) == rig.ends(held) == []


def test_a_batch_of_a_chord_is_left_to_its_own_message(rig):
    runs = rig.runtime.ledger.runs
    runs.accept(
        "e.task", task=RunTask.CHORD_BATCH, kind=RunKind.API, organization_id="o", start="{}", state=RunState.READY
    )

    rig.runtime.backend.close()
    from unstract_worker_callback.finalise import finalise_run

    assert finalise_run(rig.runtime, "e.task")
    assert rig.state("e.task") is RunState.READY
    assert runs.claim("e.task", "its own message", state=RunState.READY) is not None
    assert rig.attempts("e.task") == 0


def test_the_log_line_of_a_closed_run_has_its_counts(rig):
    prepared = rig.run([rig.ok(1), rig.bad(2, "unreadable")])
    with capture_logs() as logs:
        rig.finalise(prepared)
    closed = next(line for line in logs if line["event"] == "run closed")
    assert (closed["total_files"], closed["successful_files"], closed["failed_files"]) == (2, 1, 1)


def test_the_end_is_logged_in_the_execution_s_log(rig):
    good, failed = rig.run([rig.ok(1)]), rig.run([rig.bad(1, "unreadable")])
    for prepared in (good, failed):
        rig.finalise(prepared)
    rig.runtime.log_events.stop()

    kept = [json.loads(rig.platform.get(key)) for key in sorted(rig.platform.keys("logs:channel-1:*"))]
    assert [(each["execution_id"], each["level"], each["stage"]) for each in kept] == [
        (good.id, "INFO", "TERMINATION"), (failed.id, "ERROR", "TERMINATION"),
    ]  # fmt: skip
    assert kept[0]["log"] == "Execution ended COMPLETED: 1 of 1 files succeeded, 0 failed."
    assert kept[1]["log"].endswith("0 of 1 files succeeded, 1 failed. all 1 files failed; first: unreadable")
