import json

import pytest

from unstract_worker_core.api_results import result_items
from unstract_worker_core.ledger import OutcomeKind, RunState
from unstract_worker_core.messages.start import refused_item
from unstract_worker_core.statuses import ExecutionStatus

ORGANIZATION = "org_files"
EXECUTE = "execute-file"


def test_an_api_file_gets_its_result_its_metadata_and_its_status(bench):
    item = bench.file("a.txt")
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.result["output"]["fields"] == {"total": "12.50"}
    reported = outcome.metadata
    assert reported.pop("total_elapsed_time") >= 0
    assert [tool["tool_name"] for tool in reported.pop("tool_metadata")] == ["extraction"]
    usage = reported.pop("usage")
    assert (usage["file_execution_id"], usage["total_tokens"] > 0) == (item.file_execution_id, True)
    assert reported == {
        "source_name": "a.txt",
        "source_hash": item.hash,
        "organization_id": ORGANIZATION,
        "workflow_id": bench.workflow_id,
        "execution_id": bench.execution_id,
        "total_pages_processed": 1,
    }
    assert bench.rows()["a.txt"].status is ExecutionStatus.COMPLETED
    assert [effect["detail"]["status"] for effect in bench.effects("files.update_status")] == ["EXECUTING", "COMPLETED"]
    assert bench.state() is RunState.READY
    assert bench.rung == [bench.execution_id]


def test_keys_name_run_epoch_file_and_operation(bench):
    bench.file("a.txt")
    bench.arm()

    bench.process()

    keys = [effect["key"] for name in ("files.update_status", "files.execute") for effect in bench.effects(name)]
    identity = keys[0].split(":")[2]
    prefix = f"{bench.execution_id}:{bench.epoch}:{identity}"
    assert len(identity) == 16
    assert keys == [f"{prefix}:status-EXECUTING", f"{prefix}:status-COMPLETED", f"{prefix}:execute"]


def test_one_bad_file_fails_with_its_reason_and_its_siblings_do_not(bench):
    bench.file("bad.pdf", b"not a pdf at all")
    bench.file("good.txt")
    bench.arm()

    bench.process()

    outcomes = bench.outcomes()
    assert outcomes["bad.pdf"].kind is OutcomeKind.ERROR
    assert outcomes["bad.pdf"].error.startswith("Workflow error: ")
    assert outcomes["bad.pdf"].result is None
    assert bench.rows()["bad.pdf"].execution_error == outcomes["bad.pdf"].error
    assert outcomes["good.txt"].kind is OutcomeKind.COMPLETED
    assert bench.state() is RunState.READY


def test_a_file_whose_description_was_refused_fails_with_that_reason_and_is_not_executed(bench):
    described = {"file_name": "bad.txt", "file_path": "in/bad.txt", "file_size": -1}
    refused = refused_item(described, number=1, name="", reason="file_size: not a size")
    bench.file("bad.txt", hash=refused.hash, is_executed=True, refused=refused.refused, provider_file_uuid=None)
    bench.file("good.txt")
    bench.arm()

    bench.process()

    bad, good = bench.outcomes()["bad.txt"], bench.outcomes()["good.txt"]
    assert bad.error == "Validation error: the file's description cannot be used: file_size: not a size"
    assert (bad.kind, good.kind) == (OutcomeKind.ERROR, OutcomeKind.COMPLETED)
    assert bench.rows()["bad.txt"].status is ExecutionStatus.ERROR
    assert bench.rows()["bad.txt"].execution_error == bad.error
    assert len(bench.effects("files.execute")) == 1
    assert bench.state() is RunState.READY


@pytest.mark.parametrize(
    ("kind", "more", "reported"),
    [
        ("html", {}, "HTML"),
        ("body", {"body": '{"status": "success"}'}, "execution_id: missing"),
        ("body", {"body": "[]"}, "status: missing"),
        ("status", {"status": 500, "body": '{"error": "no such tool"}'}, "no such tool"),
    ],
)
def test_an_answer_that_is_not_success_fails_the_file(bench, kind, more, reported):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault(EXECUTE, kind, **more)

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert outcome.kind is OutcomeKind.ERROR
    assert reported in outcome.error
    assert outcome.error.startswith("Workflow error: ")


def test_a_result_beyond_the_limit_fails_the_file_and_names_the_limit(bench, scripted):
    bench.executor = scripted(big_txt={"output": "x" * 20_001}, odd_txt={"output": float("nan")})
    bench.file("big.txt", "1")
    bench.file("odd.txt", "2")
    bench.arm()

    bench.process()

    outcomes = bench.outcomes()
    assert "MAX_FILE_RESULT_BYTES is 20000" in outcomes["big.txt"].error
    assert outcomes["odd.txt"].error == "Workflow error: the result is not JSON"


def test_an_unsupported_type_fails_and_is_not_sent(bench, scripted):
    bench.executor = scripted()
    bench.file("a.exe", hash="temp-hash-1f", is_executed=True, mime_type="application/x-msdownload")
    bench.arm()

    bench.process()

    assert bench.executor.calls == []
    assert bench.outcomes()["a.exe"].error == "Validation error: unsupported file type application/x-msdownload"
    assert bench.rows()["a.exe"].status is ExecutionStatus.ERROR


def test_a_file_without_a_row_fails_and_its_siblings_do_not(bench):
    bench.file("a.txt", row=False)
    bench.file("b.txt", "b")
    bench.arm()

    bench.process()

    kinds = {name: outcome.kind for name, outcome in bench.outcomes().items()}
    assert kinds == {"a.txt": OutcomeKind.ERROR, "b.txt": OutcomeKind.COMPLETED}


def test_equal_copies_run_once_and_each_name_gets_its_item(bench):
    bench.file("a.txt", copies=("b.txt", "c.txt"))
    bench.arm()

    bench.process()

    items = list(result_items(bench.outcomes()["a.txt"]))
    assert [item.file for item in items] == ["a.txt", "b.txt", "c.txt"]
    assert {item.status for item in items} == {"Success"}
    assert len(bench.effects("files.execute")) == 1


def test_the_ui_hears_how_a_file_ended(make_bench):
    bench = make_bench(log_channel="a-session")
    bench.file("a.txt")
    bench.arm()

    bench.process()

    bench.wait(lambda: len(list(bench.redis.scan_iter("logs:a-session:*"))) >= 1)
    reported = [json.loads(bench.redis.get(key)) for key in bench.redis.scan_iter("logs:a-session:*")]
    assert any("a.txt" in line["log"] and line["level"] == "INFO" for line in reported)


def test_an_execution_that_the_backend_does_not_know_fails_its_files(bench, scripted):
    bench.executor = scripted()
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/workflow-execution/", "status", status=404, body='{"error": "Workflow execution not found"}')

    bench.process()

    assert bench.outcomes()["a.txt"].error.startswith("Processing error: workflow-execution")
    assert bench.executor.calls == []
