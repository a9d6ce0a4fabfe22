import json

import pytest
from attrs import evolve

from unstract_worker_core.backend.files import FileStatusUpdate
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import RunState
from unstract_worker_core.messages.batch import read_batch
from unstract_worker_core.runs.files_in_use import ActiveFile, ActiveFiles
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.chord_compat import process_chord_batch

ORGANIZATION = "org_files"
TASK = "5f6c1c51-0d6d-4f4f-9a44-2d0c0e6ad001"


def message_of(bench, **changes):
    """The one argument of process_file_batch, as today's orchestrators send it."""
    files = [
        [
            item.name,
            {
                "file_name": item.name, "file_path": item.path, "file_hash": item.hash, "file_size": item.size,
                "mime_type": "", "source_connection_type": item.source_connection_type, "is_executed": False,
                "connector_metadata": {"secret": "never stored"},
                **({"provider_file_uuid": item.provider_file_uuid} if item.provider_file_uuid else {}),
            },
        ]
        for item in bench.items
    ]  # fmt: skip
    data = {
        "workflow_id": bench.workflow_id, "execution_id": bench.execution_id, "organization_id": ORGANIZATION,
        "pipeline_id": "None", "use_file_history": False, "q_file_no_list": [], "tags": [],
    }  # fmt: skip
    return {"files": files, "file_data": data | changes}


def run(bench, task_id=TASK):
    return process_chord_batch(bench.runtime, bench.guarded(), read_batch(message_of(bench)), task_id)


def pushed(bench):
    key = f"api_results:{bench.workflow_id}:{bench.execution_id}"
    return [json.loads(text) for text in bench.redis.lrange(key, 0, -1)]


def run_id(bench):
    return f"{bench.execution_id}.{TASK}"


def test_a_batch_of_api_files_is_counted_and_each_upload_has_its_item(bench):
    bench.file("a.txt", row=False)
    bench.file("bad.pdf", b"no pdf", row=False)
    bench.file("again.txt", row=False)

    result = run(bench)

    assert result == {
        "total_files": 3, "successful_files": 2, "failed_files": 1, "execution_time": result["execution_time"],
        "file_results": [], "errors": [], "skipped_already_completed": 0, "skipped_active_duplicate": 0,
        "organization_id": ORGANIZATION,
    }  # fmt: skip
    assert {item["file"]: item["status"] for item in pushed(bench)} == {
        "a.txt": "Success", "again.txt": "Success", "bad.pdf": "Failed",
    }  # fmt: skip
    assert len(pushed(bench)) == 3
    assert pushed(bench)[0]["result"]["output"]["fields"] == {"total": "12.50"}
    assert len(bench.effects("files.execute")) == 2
    assert bench.rung == []


def test_one_unreadable_entry_of_a_batch_fails_alone(bench):
    bench.file("a.txt", row=False)
    message = message_of(bench)
    source = {"source_connection_type": "API"} if bench.kind is RunKind.API else {}
    message["files"].append(
        ["b.txt", {"file_name": "b.txt", "file_path": "in/b.txt", "mime_type": "x" * 600, **source}]
    )
    message["files"].append("no file at all")
    for name, size in (("c\ud800.txt", 1), ("d.txt", float("nan")), ("e.txt", float("inf"))):
        message["files"].append({"file_name": name, "file_path": f"in/{name}", "file_size": size, **source})

    result = process_chord_batch(bench.runtime, bench.guarded(), read_batch(message), TASK)

    assert (result["total_files"], result["successful_files"], result["failed_files"]) == (6, 1, 5)
    items = {item["file"]: item for item in pushed(bench)}
    assert {name: item["status"] for name, item in items.items()} == {
        "a.txt": "Success", "b.txt": "Failed", "file 3": "Failed",
        "c%ED%A0%80.txt": "Failed", "d.txt": "Failed", "e.txt": "Failed",
    }  # fmt: skip
    assert items["b.txt"]["error"].endswith("mime_type: not a short printable text")
    rows = bench.rows()
    assert (rows["a.txt"].status, rows["b.txt"].status) == (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR)
    assert rows["b.txt"].execution_error.endswith("mime_type: not a short printable text")


def test_a_redelivery_after_the_end_returns_the_recorded_result(bench):
    bench.file("a.txt", row=False)
    first = run(bench)

    assert run(bench) == first
    assert len(pushed(bench)) == 1
    assert len(bench.effects("files.execute")) == 1
    assert bench.runtime.ledger.runs.state(run_id(bench)) is RunState.DONE


def test_a_redelivery_while_the_lease_lives_waits(bench):
    bench.file("a.txt", row=False)

    def redelivered(request):
        with pytest.raises(SteppedAside, match="another delivery") as caught:
            run(bench)
        assert caught.value.delay_seconds > 0
        return {"output": 1}

    class Looking:
        def execute(self, request, *, timeout_seconds):
            return redelivered(request)

    bench.executor = Looking()

    assert run(bench)["successful_files"] == 1
    assert len(pushed(bench)) == 1


def test_a_redelivery_after_a_crash_goes_on_and_pushes_nothing_twice(bench):
    bench.file("a.txt", "a", row=False)
    bench.file("b.txt", "b", row=False)
    calls = []

    class Draining:
        def execute(self, request, *, timeout_seconds):
            calls.append(request.file.name)
            bench.runtime.draining.set()
            return {"output": request.file.name}

    bench.executor = Draining()
    with pytest.raises(SteppedAside):
        run(bench)
    assert [item["file"] for item in pushed(bench)] == ["a.txt"]
    bench.runtime.draining.clear()

    assert run(bench)["successful_files"] == 2
    assert [item["file"] for item in pushed(bench)] == ["a.txt", "b.txt"]
    assert calls == ["a.txt", "b.txt"]


def test_etl_files_that_others_finished_or_hold_are_not_run(make_bench):
    bench = make_bench(RunKind.ETL)
    done, held, free = (
        bench.file("done.txt", "1"),
        bench.file("held.txt", "2", row=False),
        bench.file("free.txt", "3", row=False),
    )
    bench.backend.files.update_status(
        ORGANIZATION, done.file_execution_id, FileStatusUpdate(status=ExecutionStatus.COMPLETED)
    )
    other = ActiveFiles(bench.redis, bench.workflow_id, "another-execution", 300)
    other.mark([ActiveFile(held.provider_file_uuid, held.path)])
    ours = ActiveFiles(bench.redis, bench.workflow_id, bench.execution_id, 300)
    ours.mark([ActiveFile(free.provider_file_uuid, free.path)])

    result = run(bench)

    assert (result["total_files"], result["successful_files"], result["failed_files"]) == (3, 1, 1)
    assert (result["skipped_already_completed"], result["skipped_active_duplicate"]) == (1, 1)
    assert [effect["file"] for effect in bench.effects("files.execute")] == [free.path]
    assert bench.rows()["held.txt"].status is ExecutionStatus.ERROR
    assert len(list(bench.redis.scan_iter("file_active:*"))) == 1


def test_an_equal_upload_of_another_batch_is_owed_its_item_and_one_that_was_done_is_not(bench):
    done, equal = bench.file("done.txt", "1"), bench.file("first.txt", "2")
    for item in (done, equal):
        status = FileStatusUpdate(status=ExecutionStatus.COMPLETED)
        bench.backend.files.update_status(ORGANIZATION, item.file_execution_id, status)
    bench.items[1] = evolve(bench.file("second.txt", "2", row=False), number=2)
    del bench.items[2]

    result = run(bench)

    assert (result["successful_files"], result["skipped_already_completed"]) == (1, 1)
    assert [item["file"] for item in pushed(bench)] == ["second.txt"]


def test_a_stopped_execution_starts_nothing_and_still_answers(bench):
    bench.file("a.txt", row=False)
    bench.stop()

    result = run(bench)

    assert (result["total_files"], result["successful_files"], result["failed_files"]) == (1, 0, 0)
    assert bench.effects("files.create") == []


def test_an_execution_that_the_backend_does_not_know_fails_every_file(bench):
    bench.file("a.txt", row=False)
    stranger = evolve(bench, execution_id="00000000-0000-4000-8000-00000000ffff")

    result = run(stranger)

    assert (result["total_files"], result["failed_files"]) == (1, 1)
    assert [item["status"] for item in pushed(stranger)] == ["Failed"]


def test_rows_that_parallel_batches_doubled_are_found(bench):
    bench.file("a.txt")
    bench.platform.fault(
        "/v1/file-execution/$", "status", method="POST", status=500, body='{"error": "returned more than one"}'
    )

    assert run(bench)["successful_files"] == 1


def test_a_refused_key_puts_the_batch_off_and_fails_no_file(bench):
    bench.file("a.txt", row=False)
    bench.platform.fault("/v1/file-execution/", "status", status=401)

    with pytest.raises(SteppedAside, match="API key"):
        run(bench)
    bench.platform.heal()

    assert run(bench)["successful_files"] == 1


def test_a_row_that_is_refused_fails_its_file_alone(bench):
    bench.file("a.txt", "a", row=False)
    bench.file("b.txt", "b", row=False)
    bench.platform.fault("/v1/file-execution/$", "status", method="POST", status=400, count=1)

    result = run(bench)

    assert (result["successful_files"], result["failed_files"]) == (1, 1)
    assert {item["status"] for item in pushed(bench)} == {"Success", "Failed"}


def test_a_backend_that_is_down_puts_the_batch_off_and_nothing_is_charged(bench):
    bench.file("a.txt", row=False)
    bench.platform.fault("/workflow-execution/", "status", status=503)

    with pytest.raises(SteppedAside):
        run(bench)
    bench.platform.heal()

    assert run(bench)["successful_files"] == 1


def test_a_batch_that_cannot_be_prepared_ends_after_some_attempts(bench):
    bench.file("a.txt", row=False)
    bench.platform.fault("/workflow-execution/", "status", status=500, body="{}")
    attempts = bench.runtime.settings.ledger.orchestrate_attempts
    for _ in range(attempts):
        with pytest.raises(SteppedAside):
            run(bench)

    result = run(bench)

    assert (result["total_files"], result["failed_files"]) == (1, 1)
    assert f"failed {attempts} times" in pushed(bench)[0]["error"]


def test_credentials_of_a_connector_reach_neither_ledger_nor_results(bench):
    bench.file("a.txt", row=False)
    bench.platform.fault("/status/$", "status", status=503, skip=2)
    with pytest.raises(SteppedAside):
        run(bench)

    read = {"hash": bench.redis.hgetall, "string": bench.redis.get, "list": lambda key: bench.redis.lrange(key, 0, -1)}
    keys = [key for key in bench.redis.scan_iter("*") if bench.redis.type(key) in read]
    stored = [str(read[bench.redis.type(key)](key)) for key in keys]

    assert any("a.txt" in text for text in stored)
    assert not any("never stored" in text for text in stored)


def test_a_doorbell_of_the_sweeper_may_work_on_a_chords_batch(bench):
    bench.file("a.txt", row=False)
    bench.platform.fault("/status/$", "status", status=503, skip=2)
    with pytest.raises(SteppedAside):
        run(bench)
    bench.platform.heal()
    bell = evolve(bench, execution_id=run_id(bench), epoch=1)

    bell.process()

    assert bench.rung == []
    assert run(bench)["successful_files"] == 1
    assert [item["status"] for item in pushed(bench)] == ["Success"]


def test_a_batch_that_waits_for_an_executor_comes_again_soon_and_is_finished_by_the_answer(bench, later, answer):
    bench.executor = later()
    bench.file("a.txt", row=False)
    with pytest.raises(SteppedAside) as caught:
        run(bench)
    assert caught.value.delay_seconds <= 5
    answer(bench.executor.sent[-1][1], "of a")

    assert run(bench)["successful_files"] == 1
    assert [item["result"] for item in pushed(bench)] == [{"output": "of a"}]
