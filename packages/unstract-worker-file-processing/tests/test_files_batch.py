import json
import threading

import pytest
from attrs import evolve

from unstract_worker_core.client.models import NewHistory
from unstract_worker_core.errors import LeaseLost, SteppedAside
from unstract_worker_core.ledger import OutcomeKind, RunState
from unstract_worker_core.messages import result_items
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.executor import BackendExecutor, FileFailed
from unstract_worker_file_processing.outcomes import NOT_STARTED

ORGANIZATION = "org_files"
EXECUTE = "execute-file"


class Scripted:
    """An executor that does what it is told for each name, else returns a small result. The seam's own purpose."""

    def __init__(self, **scripts):
        self.scripts = {name.replace("_", "."): script for name, script in scripts.items()}
        self.calls = []

    def execute(self, request, *, timeout_seconds):
        self.calls.append(request)
        script = self.scripts.get(request.file.name, {"output": request.file.name})
        value = script(request) if callable(script) else script
        if isinstance(value, Exception):
            raise value
        return value

    def names(self):
        return [request.file.name for request in self.calls]


def test_an_api_file_gets_its_result_its_metadata_and_its_status(bench):
    item = bench.file("a.txt")
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert outcome.kind is OutcomeKind.COMPLETED
    assert outcome.result["output"]["fields"] == {"total": "12.50"}
    told = outcome.metadata
    assert told.pop("total_elapsed_time") >= 0
    assert [tool["tool_name"] for tool in told.pop("tool_metadata")] == ["extraction"]
    usage = told.pop("usage")
    assert (usage["file_execution_id"], usage["total_tokens"] > 0) == (item.file_execution_id, True)
    assert told == {
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


def test_an_etl_file_is_stored_without_its_result_and_its_history_is_written(make_bench):
    bench = make_bench(RunKind.ETL)
    item = bench.file("etl.txt")
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["etl.txt"]
    assert (outcome.kind, outcome.result, outcome.metadata) == (OutcomeKind.COMPLETED, None, {})
    (written,) = bench.platform.dev("GET", "history?operation=history.create&after=0")[-1:]
    assert written["detail"]["status"] == "COMPLETED"
    # The next listing of the source finds it by the storage's id and path.
    listed = bench.backend.workflows.source_files(ORGANIZATION, bench.workflow_id, bench.execution_id)
    assert item.path not in [file.file_path for file in listed]


def test_keys_name_run_epoch_file_and_operation(bench):
    bench.file("a.txt")
    bench.arm()

    bench.process()

    keys = [effect["key"] for name in ("files.update_status", "files.execute") for effect in bench.effects(name)]
    prefix = f"{bench.execution_id}:{bench.epoch}:1"
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


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("html", {}, "HTML"),
        ("body", {"body": '{"status": "success"}'}, "execution_id: missing"),
        ("body", {"body": "[]"}, "status: missing"),
        ("status", {"status": 500, "body": '{"error": "no such tool"}'}, "no such tool"),
    ],
)
def test_an_answer_that_is_not_success_fails_the_file(bench, kind, more, told):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault(EXECUTE, kind, **more)

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert outcome.kind is OutcomeKind.ERROR
    assert told in outcome.error
    assert outcome.error.startswith("Workflow error: ")


def test_a_defect_is_the_error_of_its_file_alone(bench):
    bench.executor = Scripted(a_txt=ZeroDivisionError("secret detail"), b_txt=FileFailed("", destination="disk full"))
    for name in ("a.txt", "b.txt", "c.txt"):
        bench.file(name, name)
    bench.arm()

    bench.process()

    errors = {name: outcome.error for name, outcome in bench.outcomes().items()}
    assert errors == {
        "a.txt": "Processing error: ZeroDivisionError",
        "b.txt": "Destination error: disk full",
        "c.txt": None,
    }


def test_an_unknown_outcome_charges_the_file_and_the_next_owner_runs_it_again(bench):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault(EXECUTE, "cut_after", count=1)

    with pytest.raises(SteppedAside, match="unknown"):
        bench.process()
    again = bench.claim()
    assert again.charges == {1: 1}
    bench.runtime.ledger.batches.release(again)
    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED
    assert len({effect["key"] for effect in bench.effects("files.execute")}) == 1


def test_three_unknown_outcomes_end_the_file_and_its_siblings_complete(bench):
    bench.file("poison.txt")
    bench.file("good.txt", "other")
    bench.arm()
    bench.platform.fault(EXECUTE, "cut_before", count=3)
    for _ in range(3):
        with pytest.raises(SteppedAside):
            bench.process()

    bench.process()

    outcomes = bench.outcomes()
    assert outcomes["poison.txt"].kind is OutcomeKind.ERROR
    assert "given up after 3 tries" in outcomes["poison.txt"].error
    assert bench.rows()["poison.txt"].status is ExecutionStatus.ERROR
    assert outcomes["good.txt"].kind is OutcomeKind.COMPLETED


def test_an_etl_row_that_the_backend_completed_settles_an_unknown_outcome(make_bench):
    bench = make_bench(RunKind.ETL)
    item = bench.file("a.txt")
    bench.arm()
    bench.platform.fault(EXECUTE, "cut_after", count=1)
    bench.platform.fault(
        f"{item.file_execution_id}/$",
        "body",
        method="GET",
        body=json.dumps(
            {
                "id": item.file_execution_id,
                "workflow_execution_id": bench.execution_id,
                "file_name": "a.txt",
                "status": "COMPLETED",
            }
        ),
    )

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED
    assert len(bench.effects("files.execute")) == 1


def test_a_file_that_uses_up_its_time_fails_and_its_siblings_complete(bench):
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, backend=evolve(settings.backend, file_execution_timeout=1.0))
    bench.file("slow.txt")
    bench.file("good.txt", "other")
    bench.arm()
    bench.platform.fault(EXECUTE, "hang", delay=30, count=1)

    bench.process()

    outcomes = bench.outcomes()
    assert "FILE_EXECUTION_TIMEOUT" in outcomes["slow.txt"].error
    assert outcomes["good.txt"].kind is OutcomeKind.COMPLETED


def test_what_ran_is_not_run_again_when_the_status_could_not_be_written(bench):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)

    with pytest.raises(SteppedAside):
        bench.process()
    assert bench.outcomes() == {}
    bench.platform.heal()
    bench.process()

    assert len(bench.effects("files.execute")) == 1
    assert bench.outcomes()["a.txt"].result["output"]["fields"] == {"total": "12.50"}
    assert bench.state() is RunState.READY


def test_a_failure_is_remembered_as_well(bench):
    bench.executor = Scripted(a_txt=FileFailed("no"))
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)
    with pytest.raises(SteppedAside):
        bench.process()
    bench.platform.heal()

    bench.process()

    assert bench.executor.names() == ["a.txt"]
    assert bench.outcomes()["a.txt"].error == "Workflow error: no"


def test_a_status_that_the_backend_refuses_does_not_fail_the_file(bench):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=500, body='{"error": "whatever"}')

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_usage_that_cannot_be_read_is_null(bench):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/usage/", "status", status=503)

    bench.process()

    metadata = bench.outcomes()["a.txt"].metadata
    assert metadata["usage"]["total_tokens"] is None
    assert metadata["total_pages_processed"] is None


def test_a_backend_that_is_down_gives_the_batch_back_and_charges_nothing(bench):
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/workflow-execution/", "status", status=503)

    with pytest.raises(SteppedAside) as caught:
        bench.process()

    assert caught.value.delay_seconds >= 5
    claim = bench.claim()
    assert (claim.charges, claim.recorded) == ({}, frozenset())
    assert bench.effects("files.execute") == []


def test_a_stop_between_files_skips_the_rest_and_completes(bench):
    def stopping(request):
        bench.stop()
        return {"output": 1}

    bench.executor = Scripted(a_txt=stopping)
    for name in ("a.txt", "b.txt", "c.txt"):
        bench.file(name, name)
    bench.arm()

    bench.process()

    kinds = {name: outcome.kind for name, outcome in bench.outcomes().items()}
    assert kinds == {"a.txt": OutcomeKind.COMPLETED, "b.txt": OutcomeKind.SKIPPED, "c.txt": OutcomeKind.SKIPPED}
    assert bench.outcomes()["b.txt"].error == NOT_STARTED
    assert bench.rows()["b.txt"].status is None
    assert bench.executor.names() == ["a.txt"]
    assert bench.rung == [bench.execution_id]
    ready = bench.runtime.ledger.runs.claim(bench.execution_id, "callback", state=RunState.READY)
    assert ready.stop


def test_a_stop_that_the_ledger_knows_needs_no_question(bench):
    bench.file("a.txt")
    bench.arm()
    bench.runtime.ledger.runs.request_stop(bench.execution_id)
    bench.platform.fault("/workflow-execution/", "status", status=503)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.SKIPPED


def test_a_drain_hands_the_rest_back_uncharged(bench):
    def draining(request):
        bench.runtime.draining.set()
        return {"output": 1}

    bench.executor = Scripted(a_txt=draining)
    bench.file("a.txt", "a")
    bench.file("b.txt", "b")
    bench.arm()

    with pytest.raises(SteppedAside, match="drains"):
        bench.process()

    claim = bench.claim()
    assert (claim.recorded, claim.charges) == (frozenset({1}), {})


def test_the_deadline_runs_from_the_first_claim(bench):
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, process=evolve(settings.process, time_limit=0))
    bench.executor = Scripted()
    bench.file("a.txt")
    bench.arm()

    bench.process()

    assert bench.executor.calls == []
    assert "deadline" in bench.outcomes()["a.txt"].error
    assert bench.rows()["a.txt"].status is ExecutionStatus.ERROR


def test_a_lost_lease_stops_without_writing(bench):
    def losing(request):
        bench.redis.hset(
            f"uw:{{{bench.execution_id}}}:leases",
            "0",
            json.dumps({"owner": "thief", "fence": 9, "ends": 2**52, "file": 1, "first": 1}),
        )
        return {"output": 1}

    bench.executor = Scripted(a_txt=losing)
    bench.file("a.txt")
    bench.arm()

    with pytest.raises(LeaseLost):
        bench.process()

    assert bench.outcomes() == {}
    assert [effect["detail"]["status"] for effect in bench.effects("files.update_status")] == ["EXECUTING"]
    assert bench.state() is RunState.ARMED
    assert bench.rung == []


def test_a_file_that_was_charged_runs_alone(bench):
    seen = []

    def looking(request):
        beside = threading.Thread(target=lambda: seen.append(_enters(bench.runtime.solo)))
        beside.start()
        beside.join(0.5)
        seen.append(beside.is_alive())
        return {"output": 1}

    bench.executor = Scripted(a_txt=looking)
    bench.file("a.txt")
    bench.arm()
    first = bench.claim()
    bench.runtime.ledger.batches.release(first, charge_file=1)

    bench.process()

    assert seen[0] is True
    bench.wait(lambda: len(seen) == 2)
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def _enters(gate):
    with gate.shared():
        return "entered"


def test_a_result_beyond_the_limit_fails_the_file_and_names_the_limit(bench):
    bench.executor = Scripted(big_txt={"output": "x" * 20_001}, odd_txt={"output": float("nan")})
    bench.file("big.txt", "1")
    bench.file("odd.txt", "2")
    bench.arm()

    bench.process()

    outcomes = bench.outcomes()
    assert "MAX_FILE_RESULT_BYTES is 20000" in outcomes["big.txt"].error
    assert outcomes["odd.txt"].error == "Workflow error: the result is not JSON"


def test_an_unsupported_type_fails_and_is_not_sent(bench):
    bench.executor = Scripted()
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


@pytest.mark.parametrize(
    ("stored", "expected"),
    [('{"output": {"k": 1}}', {"output": {"k": 1}}), ("{'output': {'k': None}}", {"output": {"k": None}})],
)
def test_a_history_hit_is_used_again_and_not_counted_again(make_bench, stored, expected):
    bench = make_bench(use_file_history=True)
    bench.executor = Scripted()
    item = bench.file("a.txt", f"content of {stored}", is_executed=True)
    history = NewHistory(
        workflow_id=bench.workflow_id, file_hash=item.hash, file_name="earlier.txt", status=ExecutionStatus.COMPLETED,
        is_api=True, result=stored, metadata="{'source_name': 'earlier.txt', 'total_pages_processed': 7}",
    )  # fmt: skip
    bench.backend.history.create(ORGANIZATION, history)
    bench.arm()

    bench.process()

    outcome = bench.outcomes()["a.txt"]
    assert (outcome.kind, outcome.result) == (OutcomeKind.COMPLETED, expected)
    assert (outcome.metadata["source_name"], outcome.metadata["total_pages_processed"]) == ("a.txt", 7)
    assert outcome.metadata["execution_id"] == bench.execution_id
    assert bench.executor.calls == []
    row = bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash)
    assert row.execution_count == 1
    assert bench.rows()["a.txt"].status is ExecutionStatus.COMPLETED


def test_without_a_hit_the_file_runs_and_its_history_is_kept(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "no history yet", is_executed=True)
    bench.arm()

    bench.process()

    row = bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash)
    assert json.loads(row.result) == bench.outcomes()["a.txt"].result
    assert json.loads(row.metadata)["source_name"] == "a.txt"


def test_a_history_write_without_an_answer_is_looked_up_before_it_is_repeated(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "ambiguous history")
    bench.arm()
    bench.platform.fault("file-history/create", "cut_after", count=1)

    bench.process()

    assert bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash).execution_count == 1
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_history_that_fails_does_not_fail_the_file(make_bench):
    bench = make_bench(RunKind.ETL)
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("file-history/create", "status", status=400)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_files_that_have_an_outcome_are_not_touched_again(bench):
    bench.executor = Scripted()
    bench.file("a.txt", "a")
    bench.file("b.txt", "b")
    bench.arm([[bench.items[0]], [bench.items[1]]])

    bench.process(0)
    bench.process(0)
    assert bench.rung == []
    bench.process(1)
    bench.process(1)

    assert bench.executor.names() == ["a.txt", "b.txt"]
    assert bench.rung == [bench.execution_id]


def test_the_ui_hears_how_a_file_ended(make_bench):
    bench = make_bench(log_channel="a-session")
    bench.file("a.txt")
    bench.arm()

    bench.process()

    bench.wait(lambda: len(list(bench.redis.scan_iter("logs:a-session:*"))) >= 1)
    told = [json.loads(bench.redis.get(key)) for key in bench.redis.scan_iter("logs:a-session:*")]
    assert any("a.txt" in line["log"] and line["level"] == "INFO" for line in told)


def test_the_executor_gets_no_more_time_than_the_batch_has_left(bench):
    settings, given = bench.runtime.settings, []
    bench.runtime.settings = evolve(settings, process=evolve(settings.process, time_limit=7))

    class Timed(BackendExecutor):
        def execute(self, request, *, timeout_seconds):
            given.append(timeout_seconds)
            return super().execute(request, timeout_seconds=timeout_seconds)

    bench.executor = Timed(bench.backend)
    bench.file("a.txt")
    bench.arm()

    bench.process()

    assert len(given) == 1
    assert 0 < given[0] <= 7


def test_a_ledger_that_is_away_for_a_moment_makes_nothing_run_twice(bench):
    healed = []

    def refusing(request):
        bench.redis.config_set("min-replicas-to-write", 1)
        timer = threading.Timer(1.5, lambda: healed.append(bench.redis.config_set("min-replicas-to-write", 0)))
        timer.start()
        return {"output": 1}

    bench.executor = Scripted(a_txt=refusing)
    bench.file("a.txt")
    bench.arm()
    try:
        bench.process()
    finally:
        bench.redis.config_set("min-replicas-to-write", 0)

    assert healed == [True]
    assert bench.executor.names() == ["a.txt"]
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_stop_that_comes_between_the_question_and_the_start_is_seen(bench):
    def stopping(request):
        bench.runtime.ledger.runs.request_stop(bench.execution_id)
        return {"output": 1}

    bench.executor = Scripted(a_txt=stopping)
    bench.file("a.txt", "a")
    bench.file("b.txt", "b")
    bench.arm()

    bench.process()

    kinds = {name: outcome.kind for name, outcome in bench.outcomes().items()}
    assert kinds == {"a.txt": OutcomeKind.COMPLETED, "b.txt": OutcomeKind.SKIPPED}
    assert bench.executor.names() == ["a.txt"]


def test_what_ran_before_a_stop_is_finished_after_it(bench):
    bench.executor = Scripted()
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)
    with pytest.raises(SteppedAside):
        bench.process()
    bench.platform.heal()
    bench.stop()

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_an_execution_that_the_backend_does_not_know_fails_its_files(bench):
    bench.executor = Scripted()
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/workflow-execution/", "status", status=404, body='{"error": "Workflow execution not found"}')

    bench.process()

    assert bench.outcomes()["a.txt"].error.startswith("Processing error: workflow-execution")
    assert bench.executor.calls == []


def test_a_row_that_the_backend_failed_settles_an_unknown_outcome(bench):
    item = bench.file("a.txt")
    bench.arm()
    row = {"id": item.file_execution_id, "workflow_execution_id": bench.execution_id, "file_name": "a.txt"}
    row |= {"status": "ERROR", "execution_error": "no such page"}
    bench.platform.fault(EXECUTE, "cut_after", count=1)
    bench.platform.fault(f"{item.file_execution_id}/$", "body", method="GET", body=json.dumps(row))

    bench.process()

    assert bench.outcomes()["a.txt"].error == "Workflow error: no such page"


def test_a_history_whose_fate_stays_unknown_is_given_up_and_the_file_completes(make_bench):
    bench = make_bench(RunKind.ETL)
    bench.file("a.txt", "history of unknown fate")
    bench.arm()
    bench.platform.fault("file-history/create", "cut_before", count=2)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_history_of_the_owner_before_is_not_counted_twice(make_bench):
    bench = make_bench(use_file_history=True)
    item = bench.file("a.txt", "history before the crash")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)
    with pytest.raises(SteppedAside):
        bench.process()
    bench.platform.heal()

    bench.process()

    assert bench.backend.history.by_hash(ORGANIZATION, bench.workflow_id, item.hash).execution_count == 1


def test_a_defect_after_the_outcome_is_charged_and_the_outcome_stands(bench):
    class Broken:
        def log(self, event):
            raise RuntimeError("defect")

        def stop(self, timeout=0.0):
            """Nothing to stop."""

    bench.executor = Scripted()
    bench.file("a.txt")
    bench.arm()
    sound, bench.runtime.log_events = bench.runtime.log_events, Broken()
    with pytest.raises(SteppedAside, match="RuntimeError"):
        bench.process()
    bench.runtime.log_events = sound

    bench.process()

    assert bench.executor.names() == ["a.txt"]
    assert bench.state() is RunState.READY
