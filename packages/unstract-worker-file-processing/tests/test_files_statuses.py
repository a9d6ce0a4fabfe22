"""Statuses that are written together: the rows before and after the end, also after errors."""

import json
import re

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from unstract_worker_core import serialization
from unstract_worker_core.errors import LeaseLost, SteppedAside
from unstract_worker_core.ledger import FileItem, OutcomeKind
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.executor import BackendExecutor, FileFailed

TOGETHER = "/file-execution/batch-status-update/$"
SINGLY = r"/file-execution/[-0-9a-f]{36}/status/$"


@pytest.fixture
def made(make_bench, scripted):
    """An armed batch of these files; statuses are collected for so many seconds."""

    def make(*names, seconds=60.0, kind=RunKind.API, **scripts):
        bench = make_bench(kind)
        settings = bench.runtime.settings
        bench.runtime.settings = evolve(settings, files=evolve(settings.files, status_seconds=seconds))
        bench.executor = scripted(**scripts)
        for name in names:
            bench.file(name, name)
        bench.arm()
        return bench

    return make


def calls(bench, pattern):
    began = bench.platform.dev("GET", f"history?execution_id={bench.execution_id}")[0]["at"]
    asked = bench.platform.dev("GET", "requests?after=0")
    return [each for each in asked if each["at"] >= began and re.search(pattern, each["path"])]


def written(bench, row_id):
    return [each["detail"]["status"] for each in bench.effects("files.update_status") if each["file"] == row_id]


def lapse(bench):
    """The owner died long ago, by the ledger's own clock."""
    key = f"uw:{{{bench.execution_id}}}:leases"
    lease = json.loads(bench.redis.hget(key, "0"))
    bench.redis.hset(key, "0", json.dumps({**lease, "ends": 1}))


def test_quick_files_share_their_writes_and_each_row_shows_its_way(made):
    bench = made(*(f"{number}.txt" for number in range(13)))

    bench.process()

    assert (len(calls(bench, SINGLY)), len(calls(bench, TOGETHER))) == (0, 3)  # ten start, three start, all ended
    assert all(written(bench, item.file_execution_id) == ["EXECUTING", "COMPLETED"] for item in bench.items)


def test_the_files_that_start_next_are_found_without_a_search(made, monkeypatch):
    bench = made(*(f"{number}.txt" for number in range(13)))
    compared = []
    original = FileItem.__eq__
    monkeypatch.setattr(FileItem, "__eq__", lambda item, other: compared.append(item) or original(item, other))

    bench.process()

    assert compared == []


def test_files_that_completed_share_a_record_and_one_that_failed_has_its_own(made):
    bench = made("a.txt", "b.txt", "c.txt", "d.txt", b_txt=FileFailed("no such prompt"))

    with capture_logs() as logged:
        bench.process()

    first, failed, third, last = (item.file_execution_id for item in bench.items)
    reported = {(each["event"], each["file_execution_id"], each["outcome"]) for each in logged if "outcome" in each}
    assert reported == {("files ended", f"{first} {third} {last}", "COMPLETED"), ("file ended", failed, "ERROR")}


def test_one_answer_about_a_stop_serves_all_batches_of_an_execution(made):
    bench = made("a.txt")
    bench.process()
    asked = len(calls(bench, f"/workflow-execution/{bench.execution_id}/$"))

    bench.runtime.statuses.get(bench.execution_id, lambda: pytest.fail("asked again"), seconds=60)

    assert asked == 1


@pytest.mark.parametrize(("known", "asked"), [(None, 1), (0.0, 0), (59.0, 0), (61.0, 1)])
def test_what_the_orchestrator_learned_counts_as_long_as_an_answer_does(made, known, asked):
    bench = made("a.txt", seconds=60.0)
    key = f"uw:{{{bench.execution_id}}}:context"
    bench.redis.set(key, serialization.encode(evolve(bench.context(), executing_seconds=known)))

    bench.process()

    assert len(calls(bench, f"/workflow-execution/{bench.execution_id}/$")) == asked
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_row_says_executing_before_its_file_is_sent(made):
    seen = []

    def looking(request):
        seen.append(bench.backend.files.get(request.context.organization_id, request.file.file_execution_id).status)
        return {"output": 1}

    bench = made("a.txt", "b.txt", "c.txt", a_txt=looking, b_txt=looking, c_txt=looking)

    bench.process()

    assert seen == [ExecutionStatus.EXECUTING] * 3


def test_what_ended_shows_while_the_next_file_takes_its_time(made):
    def slow(request):
        bench.wait(lambda: bench.rows()["a.txt"].status is ExecutionStatus.COMPLETED)
        bench.wait(lambda: "a.txt" in bench.outcomes())
        return {"output": 1}

    bench = made("a.txt", "b.txt", seconds=1.0, b_txt=slow)

    bench.process()

    assert bench.outcomes()["b.txt"].kind is OutcomeKind.COMPLETED


def test_a_file_whose_row_said_executing_and_that_did_not_start_is_pending_again(made):
    def stopping(request):
        bench.runtime.ledger.runs.request_stop(bench.execution_id)
        return {"output": 1}

    bench = made("a.txt", "b.txt", "c.txt", "d.txt", b_txt=stopping)

    bench.process()

    rows = {name: row.status for name, row in bench.rows().items()}
    done, left = ExecutionStatus.COMPLETED, ExecutionStatus.PENDING
    assert rows == {"a.txt": done, "b.txt": done, "c.txt": left, "d.txt": left}
    assert written(bench, bench.items[2].file_execution_id) == ["EXECUTING", "PENDING"]


def test_a_row_that_an_owner_before_left_executing_is_pending_after_a_stop(made):
    bench = made("a.txt", "b.txt", b_txt=LeaseLost("frozen"))
    with pytest.raises(LeaseLost):
        bench.process()
    assert bench.rows()["b.txt"].status is ExecutionStatus.EXECUTING
    lapse(bench)
    bench.stop()
    bench.runtime.ledger.runs.request_stop(bench.execution_id)

    bench.process()

    assert bench.outcomes()["b.txt"].kind is OutcomeKind.SKIPPED
    assert bench.rows()["b.txt"].status is ExecutionStatus.PENDING


def test_what_ran_and_was_not_recorded_is_finished_by_the_next_owner(made):
    bench = made("a.txt", "b.txt", "c.txt", c_txt=LeaseLost("frozen"))
    with pytest.raises(LeaseLost):
        bench.process()
    assert "b.txt" not in bench.outcomes()
    lapse(bench)
    bench.executor.scripts.clear()

    bench.process()

    assert bench.executor.names() == ["a.txt", "b.txt", "c.txt", "c.txt"]
    assert {row.status for row in bench.rows().values()} == {ExecutionStatus.COMPLETED}
    assert {outcome.kind for outcome in bench.outcomes().values()} == {OutcomeKind.COMPLETED}


def test_the_file_in_flight_is_charged_though_others_are_recorded_after_it_began(made):
    def dying(request):
        bench.wait(lambda: "a.txt" in bench.outcomes())
        raise LeaseLost("its worker died")

    bench = made("a.txt", "b.txt", seconds=1.0, b_txt=dying)
    with pytest.raises(LeaseLost):
        bench.process()
    lapse(bench)

    assert bench.claim().charges == {2: 1}


def test_a_row_that_the_batch_left_out_is_written_by_itself(made):
    bench = made("a.txt", "b.txt", "c.txt")
    left_out, others = bench.items[1].file_execution_id, [bench.items[0], bench.items[2]]
    reported = {
        "successful_updates": [{"file_execution_id": item.file_execution_id, "status": "COMPLETED"} for item in others],
        "failed_updates": [{"file_execution_id": left_out, "error": "deadlock detected"}],
        "total_processed": 3,
    }
    bench.platform.fault(TOGETHER, "body", status=200, body=json.dumps(reported))

    bench.process()

    assert written(bench, left_out)[-1] == "COMPLETED"


@pytest.mark.parametrize("status", [404, 400, 500])
def test_without_the_call_for_many_each_row_is_written_by_itself(made, status):
    bench = made("a.txt", "b.txt", "c.txt")
    bench.platform.fault(TOGETHER, "status", status=status)

    bench.process()

    assert {row.status for row in bench.rows().values()} == {ExecutionStatus.COMPLETED}


def test_statuses_are_waited_for_while_the_backend_is_away(made):
    bench = made("a.txt", "b.txt", "c.txt")
    bench.platform.fault(TOGETHER, "status", status=503, skip=1)
    with pytest.raises(Exception, match="batch_status"):
        bench.process()
    assert "b.txt" not in bench.outcomes()
    bench.platform.heal()

    bench.process()

    assert bench.executor.names() == ["a.txt", "b.txt", "c.txt"]
    assert {row.status for row in bench.rows().values()} == {ExecutionStatus.COMPLETED}


def test_a_drain_shows_what_has_ended(made):
    def draining(request):
        bench.runtime.draining.set()
        return {"output": 1}

    bench = made("a.txt", "b.txt", "c.txt", b_txt=draining)
    with pytest.raises(Exception, match="drains"):
        bench.process()

    rows = {name: row.status for name, row in bench.rows().items()}
    assert (rows["a.txt"], rows["b.txt"]) == (ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED)
    assert bench.claim().recorded == {1, 2}


def test_a_backend_that_never_answers_frees_every_slot(made):
    """On threads nothing ends a call from outside: each has a deadline, and with it its batch goes back."""
    bench = made("a.txt", "b.txt", "c.txt")
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, backend=evolve(settings.backend, file_execution_timeout=1.0))
    bench.platform.fault("/file-execution/", "hang", delay=60)
    with pytest.raises(SteppedAside, match="file-execution"):
        bench.process()
    bench.platform.heal()
    bench.platform.fault("execute-file", "hang", delay=60)
    bench.executor = BackendExecutor(bench.backend)

    bench.process()

    assert all("FILE_EXECUTION_TIMEOUT" in outcome.error for outcome in bench.outcomes().values())
    assert {row.status for row in bench.rows().values()} == {ExecutionStatus.ERROR}
