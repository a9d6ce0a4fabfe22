import json
import threading

import pytest
from attrs import evolve

from unstract_worker_core.errors import LeaseLost, LedgerUnavailable, SteppedAside
from unstract_worker_core.ledger import Held, OutcomeKind, RunState
from unstract_worker_core.runs.outcomes import NOT_STARTED
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.executor import BackendExecutor, FileFailed
from unstract_worker_file_processing.session import BatchSession

ORGANIZATION = "org_files"
EXECUTE = "execute-file"


def test_a_defect_is_the_error_of_its_file_alone(bench, scripted):
    bench.executor = scripted(a_txt=ZeroDivisionError("secret detail"), b_txt=FileFailed("", destination="disk full"))
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


@pytest.mark.parametrize("status", [502, 504])
def test_a_gateways_page_instead_of_an_outcome_is_the_reason_in_the_end(bench, status):
    bench.file("a.txt")
    bench.file("good.txt", "other")
    bench.arm()
    bench.platform.fault(EXECUTE, "html", status=status, count=3)
    for _ in range(3):
        with pytest.raises(SteppedAside):
            bench.process()

    bench.process()

    outcomes = bench.outcomes()
    assert outcomes["a.txt"].error.endswith(
        f"; last: file 1: whether it ran is unknown (execute-file: the backend is unavailable (HTTP {status}))"
    )
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


def test_a_failure_is_remembered_as_well(bench, scripted):
    bench.executor = scripted(a_txt=FileFailed("no"))
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


def test_a_stop_between_files_skips_the_rest_and_completes(bench, scripted):
    def stopping(request):
        bench.stop()
        return {"output": 1}

    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, files=evolve(settings.files, status_seconds=0))
    bench.executor = scripted(a_txt=stopping)
    for name in ("a.txt", "b.txt", "c.txt"):
        bench.file(name, name)
    bench.arm()

    bench.process()

    kinds = {name: outcome.kind for name, outcome in bench.outcomes().items()}
    assert kinds == {"a.txt": OutcomeKind.COMPLETED, "b.txt": OutcomeKind.SKIPPED, "c.txt": OutcomeKind.SKIPPED}
    assert bench.outcomes()["b.txt"].error == NOT_STARTED
    assert bench.rows()["b.txt"].status is ExecutionStatus.PENDING
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


def test_a_drain_hands_the_rest_back_uncharged(bench, scripted):
    def draining(request):
        bench.runtime.draining.set()
        return {"output": 1}

    bench.executor = scripted(a_txt=draining)
    bench.file("a.txt", "a")
    bench.file("b.txt", "b")
    bench.arm()

    with pytest.raises(SteppedAside, match="drains"):
        bench.process()

    claim = bench.claim()
    assert (claim.recorded, claim.charges) == (frozenset({1}), {})


def test_the_deadline_runs_from_the_first_claim(bench, scripted):
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, process=evolve(settings.process, time_limit=0))
    bench.executor = scripted()
    bench.file("a.txt")
    bench.arm()

    bench.process()

    assert bench.executor.calls == []
    assert "deadline" in bench.outcomes()["a.txt"].error
    assert bench.rows()["a.txt"].status is ExecutionStatus.ERROR


def test_a_lost_lease_stops_without_writing(bench, scripted):
    def losing(request):
        bench.redis.hset(
            f"uw:{{{bench.execution_id}}}:leases",
            "0",
            json.dumps({"owner": "thief", "fence": 9, "ends": 2**52, "file": 1, "first": 1}),
        )
        return {"output": 1}

    bench.executor = scripted(a_txt=losing)
    bench.file("a.txt")
    bench.arm()

    with pytest.raises(LeaseLost):
        bench.process()

    assert bench.outcomes() == {}
    assert [effect["detail"]["status"] for effect in bench.effects("files.update_status")] == ["EXECUTING"]
    assert bench.state() is RunState.ARMED
    assert bench.rung == []


def test_a_file_that_was_charged_runs_alone(bench, scripted):
    seen = []

    def looking(request):
        beside = threading.Thread(target=lambda: seen.append(_enters(bench.runtime.isolation)))
        beside.start()
        beside.join(0.5)
        seen.append(beside.is_alive())
        return {"output": 1}

    bench.executor = scripted(a_txt=looking)
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


def _lease(bench):
    return json.loads(bench.redis.hget(f"uw:{{{bench.execution_id}}}:leases", "0"))


def test_each_file_is_in_flight_while_it_runs(bench, scripted):
    in_flight = []
    bench.executor = scripted(
        **{name: lambda request: in_flight.append(_lease(bench)["file"]) for name in ("a_txt", "b_txt")}
    )
    for name in ("a.txt", "b.txt"):
        bench.file(name, name)
    bench.arm()

    bench.process()

    assert in_flight == [1, 2]


def test_a_file_that_waits_for_one_that_runs_alone_is_not_in_flight(bench, scripted):
    gate, ends = bench.runtime.isolation, threading.Event()
    alone = threading.Thread(target=lambda: _alone(gate, ends))

    def executing(request):
        alone.start()
        bench.wait(lambda: gate._waiting_exclusive == 1)

    bench.executor = scripted(a_txt=executing)
    for name in ("a.txt", "b.txt"):
        bench.file(name, name)
    bench.arm()
    processing = threading.Thread(target=bench.process)
    processing.start()
    bench.wait(lambda: gate._exclusive and bench.executor.names() == ["a.txt"])
    assert _lease(bench)["file"] != 2
    ends.set()
    processing.join(10)
    alone.join(10)

    assert bench.executor.names() == ["a.txt", "b.txt"]
    assert {outcome.kind for outcome in bench.outcomes().values()} == {OutcomeKind.COMPLETED}


def _alone(gate, ends):
    with gate.exclusive():
        assert ends.wait(10)


def test_files_that_have_an_outcome_are_not_touched_again(bench, scripted):
    bench.executor = scripted()
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


@pytest.fixture
def session(bench, scripted):
    """A claimed batch whose lease is ours for a while."""
    bench.file("a.txt")
    bench.arm()
    held = Held("a batch", 30, lambda: True, lambda: None)
    return BatchSession(bench.runtime, evolve(bench, executor=scripted()).guarded(), bench.claim(), held, ends=0)


def test_what_was_done_is_written_down_however_often_the_ledger_is_away(session):
    answers = iter([LedgerUnavailable("away"), LedgerUnavailable("away"), "written"])

    def step():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert session.persist(step) == "written"


def test_a_lease_that_ran_down_ends_the_waiting_for_the_ledger(session):
    tries = []

    def step():
        tries.append(1)
        session.held.hand_back()
        raise LedgerUnavailable("away")

    with pytest.raises(LedgerUnavailable):
        session.persist(step)
    assert len(tries) == 1


def test_nothing_is_called_or_written_without_the_lease(session):
    session.held.hand_back()

    for does in (session.persist, lambda call: session.try_call("a call", call)):
        with pytest.raises(LeaseLost):
            does(lambda: pytest.fail("called"))


def test_a_stop_that_comes_between_the_question_and_the_start_is_seen(bench, scripted):
    def stopping(request):
        bench.runtime.ledger.runs.request_stop(bench.execution_id)
        return {"output": 1}

    bench.executor = scripted(a_txt=stopping)
    bench.file("a.txt", "a")
    bench.file("b.txt", "b")
    bench.arm()

    bench.process()

    kinds = {name: outcome.kind for name, outcome in bench.outcomes().items()}
    assert kinds == {"a.txt": OutcomeKind.COMPLETED, "b.txt": OutcomeKind.SKIPPED}
    assert bench.executor.names() == ["a.txt"]


def test_what_ran_before_a_stop_is_finished_after_it(bench, scripted):
    bench.executor = scripted()
    bench.file("a.txt")
    bench.arm()
    bench.platform.fault("/status/$", "status", status=503, skip=1)
    with pytest.raises(SteppedAside):
        bench.process()
    bench.platform.heal()
    bench.stop()

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_a_row_that_the_backend_failed_settles_an_unknown_outcome(bench):
    item = bench.file("a.txt")
    bench.arm()
    row = {"id": item.file_execution_id, "workflow_execution_id": bench.execution_id, "file_name": "a.txt"}
    row |= {"status": "ERROR", "execution_error": "no such page"}
    bench.platform.fault(EXECUTE, "cut_after", count=1)
    bench.platform.fault(f"{item.file_execution_id}/$", "body", method="GET", body=json.dumps(row))

    bench.process()

    assert bench.outcomes()["a.txt"].error == "Workflow error: no such page"


def test_a_defect_after_the_outcome_is_charged_and_the_outcome_is_kept(bench, scripted):
    class Broken:
        def log(self, event):
            raise RuntimeError("defect")

        def stop(self, timeout=0.0):
            """Nothing to stop."""

    bench.executor = scripted()
    bench.file("a.txt")
    bench.arm()
    sound, bench.runtime.log_events = bench.runtime.log_events, Broken()
    with pytest.raises(SteppedAside, match="RuntimeError"):
        bench.process()
    bench.runtime.log_events = sound

    bench.process()

    assert bench.executor.names() == ["a.txt"]
    assert bench.state() is RunState.READY
