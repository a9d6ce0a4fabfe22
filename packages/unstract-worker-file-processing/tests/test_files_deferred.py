"""Executors that answer later: each file is sent once, holds no slot while it is out, and its answer is never lost."""

import datetime as dt
import json
import math
import time
from decimal import Decimal
from uuid import UUID

import pytest
from attrs import evolve
from celery import Celery

from unstract_worker_core.backend.breaker import Breaker
from unstract_worker_core.doorbells import BatchDoorbell
from unstract_worker_core.errors import BackendRefused, LeaseLost, SteppedAside
from unstract_worker_core.ledger import AnswerTicket, Held, OutcomeKind, RunState
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing import tasks
from unstract_worker_file_processing.batch import handle_doorbell
from unstract_worker_file_processing.deferred import Parked, obtain_answer
from unstract_worker_file_processing.executor import FileFailed, FileRequest, MaybeSent, NotNow
from unstract_worker_file_processing.session import BATCH_DEADLINE, BatchSession
from unstract_worker_file_processing.status_writer import StatusWriter

ANSWER = "unstract_worker.executor_answer"
FAILURE = "unstract_worker.executor_failure"
SINGLY = "/file-execution/[-0-9a-f]{36}/status/$"


@pytest.fixture
def made(make_bench, later):
    """An armed batch of these files, with a deferred executor."""

    def make(*names, kind=RunKind.API, **scripts):
        bench = make_bench(kind)
        bench.executor = later(**scripts)
        for name in names:
            bench.file(name, name)
        bench.arm()
        return bench

    return make


def parked(bench):
    with pytest.raises(Parked):
        bench.process()
    return bench.executor.sent[-1][1]


def lapse(bench):
    key = f"uw:{{{bench.execution_id}}}:leases"
    lease = json.loads(bench.redis.hget(key, "0"))
    bench.redis.hset(key, "0", json.dumps({**lease, "ends": 1}))


def over(bench):
    """The time in which an answer was awaited is over, by the ledger's own clock."""
    key = f"uw:{{{bench.execution_id}}}:requests"
    for number, raw in bench.redis.hgetall(key).items():
        bench.redis.hset(key, number, json.dumps(json.loads(raw) | {"expires": 1, "at": 1}))


def requests_of(bench):
    return bench.redis.hgetall(f"uw:{{{bench.execution_id}}}:requests")


def counted(bench, name, outcome):
    return bench.runtime.metrics.registry.get_sample_value(f"unstract_worker_{name}_total", {"outcome": outcome}) or 0


def test_each_file_is_sent_once_and_its_answer_rings_the_batch(made, answer):
    bench = made("a.txt", "b.txt")

    ticket = parked(bench)
    row = bench.rows()["a.txt"].id
    assert ticket == AnswerTicket(bench.execution_id, bench.epoch, 0, 1, file_execution_id=row)
    assert bench.rows()["a.txt"].status is ExecutionStatus.EXECUTING
    assert bench.rows()["b.txt"].status is None
    answer(ticket, "of a")
    (ring,) = bench.runtime.doorbells.of("batch")
    assert (ring.run_id, ring.epoch, ring.batch) == (bench.execution_id, bench.epoch, 0)
    answer(parked(bench), "of b")
    bench.process()

    assert [name for name, _ in bench.executor.sent] == ["a.txt", "b.txt"]
    assert {name: outcome.result for name, outcome in bench.outcomes().items()} == {
        "a.txt": {"output": "of a"}, "b.txt": {"output": "of b"},
    }  # fmt: skip
    assert {row.status for row in bench.rows().values()} == {ExecutionStatus.COMPLETED}
    assert bench.state() is RunState.READY
    assert bench.rung == [bench.execution_id]


def test_a_parked_batch_holds_no_lease_and_its_file_is_not_in_flight(made):
    bench = made("a.txt")
    parked(bench)

    assert bench.runtime.keeper.held() == ()
    lease = json.loads(bench.redis.hget(f"uw:{{{bench.execution_id}}}:leases", "0"))
    assert (lease["owner"], lease["file"]) == ("", 0)


def test_a_doorbell_while_the_answer_is_out_sends_nothing(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    parked(bench)
    assert len(bench.executor.sent) == 1
    assert bench.executor.prepared == ["a.txt"]
    answer(ticket, 1)

    bench.process()

    assert bench.outcomes()["a.txt"].kind is OutcomeKind.COMPLETED


def test_an_answer_that_comes_before_the_batch_is_given_back_is_taken_at_once(made, answer):
    bench = made("a.txt")
    bench.executor.scripts["send"] = lambda: answer(bench.executor.sent[-1][1], "quick")

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "quick"}
    assert bench.runtime.doorbells.of("batch") == ()


def test_a_worker_that_dies_after_sending_sends_nothing_again(made, answer):
    bench = made("a.txt")
    bench.executor.scripts["send"] = lambda: (_ for _ in ()).throw(LeaseLost("killed"))
    with pytest.raises(LeaseLost):
        bench.process()
    lapse(bench)
    bench.executor.scripts["send"] = None

    parked(bench)
    answer(bench.executor.sent[0][1], "late but there")
    bench.process()

    assert len(bench.executor.sent) == 1
    assert bench.outcomes()["a.txt"].result == {"output": "late but there"}


@pytest.mark.parametrize("waiting", [1, None])
def test_a_file_is_not_sent_again_while_answers_wait_to_be_recorded(made, answer, waiting):
    """Those that came while no file worker ran: its time may be over before they are looked at."""
    bench = made("a.txt")
    ticket = parked(bench)
    over(bench)
    bench.runtime.doorbells.answers = waiting
    with pytest.raises(SteppedAside, match="not sent again"):
        bench.process()
    assert bench.executor.prepared == ["a.txt"]
    bench.runtime.doorbells.answers = 0
    answer(ticket, "in the queue until now")

    bench.process()

    assert len(bench.executor.sent) == 1
    assert bench.outcomes()["a.txt"].result == {"output": "in the queue until now"}


def test_a_second_request_that_cannot_be_sent_leaves_the_first_one_awaited(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    over(bench)
    bench.executor.scripts["send"] = NotNow("the queue is full")
    for _ in range(4):
        with pytest.raises(SteppedAside, match="the queue is full"):
            bench.process()
    assert bench.charges() == {}
    answer(ticket, "late but paid for")

    bench.process()

    assert len(bench.executor.sent) == 1
    assert bench.outcomes()["a.txt"].result == {"output": "late but paid for"}


def overdue(bench, seconds=1):
    """The batch's deadline is over."""
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, process=evolve(settings.process, time_limit=-seconds))


def fail_preparing(bench):
    over(bench)
    bench.executor.scripts["prepare"] = FileFailed("the source is gone")


def charge_three_times(bench):
    over(bench)
    bench.redis.hset(f"uw:{{{bench.execution_id}}}:charges", "1", "3")


@pytest.mark.parametrize("end", [overdue, fail_preparing, charge_three_times])
def test_an_answer_that_was_recorded_after_the_claim_is_not_dropped_for_an_error(made, answer, monkeypatch, end):
    bench = made("a.txt")
    ticket = parked(bench)
    end(bench)
    doorbells = type(bench.runtime.doorbells)
    monkeypatch.setattr(doorbells, "answers_waiting", lambda _: answer(ticket, "paid for") or 0)

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "paid for"}


@pytest.mark.parametrize("end", [overdue, charge_three_times])
def test_a_file_does_not_end_while_answers_wait_to_be_recorded(made, answer, end):
    """All file workers were away past the batch's deadline, or died with the third request."""
    bench = made("a.txt")
    ticket = parked(bench)
    end(bench)
    bench.runtime.doorbells.answers = 1
    with pytest.raises(SteppedAside, match="does not end yet"):
        bench.process()
    bench.runtime.doorbells.answers = 0
    answer(ticket, "in the queue until now")

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "in the queue until now"}


def test_a_file_past_its_deadline_ends_although_the_queue_of_answers_is_never_empty(made):
    bench = made("a.txt")
    parked(bench)
    overdue(bench, 120)
    bench.runtime.doorbells.answers = None
    executor = evolve(bench.guarded(), since=time.monotonic() - 120)

    handle_doorbell(bench.runtime, executor, BatchDoorbell(bench.execution_id, bench.epoch, 0))

    assert "before the batch's deadline" in bench.outcomes()["a.txt"].error


def test_a_file_that_died_too_often_is_not_given_up_while_its_answer_is_out(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    bench.redis.hset(f"uw:{{{bench.execution_id}}}:charges", "1", "3")
    parked(bench)
    answer(ticket, "paid for")

    bench.process()

    assert len(bench.executor.sent) == 1
    assert bench.outcomes()["a.txt"].result == {"output": "paid for"}


def test_an_answered_file_is_not_executed_by_an_executor_of_the_other_kind(made, answer, scripted):
    """The setting was changed while it was out, or the fleet is changed worker by worker."""
    bench = made("a.txt")
    answer(parked(bench), "paid for")
    sender, bench.executor = bench.executor, scripted()
    with pytest.raises(SteppedAside, match="set WORKER_FILE_EXECUTOR back"):
        bench.process()
    assert (bench.executor.calls, bench.charges()) == ([], {})
    bench.executor = sender

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "paid for"}


def test_an_answered_file_that_no_worker_can_conclude_ends_with_its_batchs_deadline(made, answer, scripted):
    bench = made("a.txt")
    answer(parked(bench), "paid for")
    bench.executor = scripted()
    overdue(bench)

    bench.process()

    assert bench.executor.calls == []
    assert "set WORKER_FILE_EXECUTOR back" in bench.outcomes()["a.txt"].error


def test_a_charged_file_whose_answer_is_out_does_not_wait_for_the_files_beside_it(made):
    """Nothing is done with it here, and each look would keep all other files out meanwhile."""
    bench = made("a.txt")
    parked(bench)
    bench.redis.hset(f"uw:{{{bench.execution_id}}}:charges", "1", "1")

    with bench.runtime.isolation.shared():
        parked(bench)


def test_a_worker_that_was_paused_after_its_intention_sends_nothing(made):
    bench = made("a.txt")
    claim, guarded = bench.claim(), bench.guarded()
    held = Held("batch", 60, lambda: True, lambda: None, clock=lambda: 1000.0 * len(requests_of(bench)))
    session = BatchSession(bench.runtime, guarded, claim, held, math.inf)
    request = FileRequest(bench.context(), bench.items[0], "key")

    with pytest.raises(LeaseLost):
        obtain_answer(session, StatusWriter(session), request, 10)

    assert bench.executor.sent == []


def test_a_worker_that_dies_with_the_answer_loses_nothing(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    answer(ticket, "paid for")
    bench.executor.scripts["conclude"] = LeaseLost("killed")
    with pytest.raises(LeaseLost):
        bench.process()
    lapse(bench)
    bench.executor.scripts["conclude"] = None

    bench.process()

    assert len(bench.executor.sent) == 1
    assert bench.outcomes()["a.txt"].result == {"output": "paid for"}


def test_a_request_without_an_answer_is_sent_again_when_its_time_is_over_and_given_up_after_three(made):
    bench = made("a.txt", "b.txt")
    for tries in (1, 2, 3):
        parked(bench)
        assert len(bench.executor.sent) == tries
        over(bench)

    with pytest.raises(SteppedAside, match="given_up"):
        bench.process()
    parked(bench)

    assert [name for name, _ in bench.executor.sent] == ["a.txt"] * 3 + ["b.txt"]
    assert "given up after 3 tries" in bench.outcomes()["a.txt"].error


def test_whether_it_was_sent_is_unknown_an_answer_is_awaited_for_a_shorter_while(made):
    bench = made("a.txt", send=MaybeSent("the confirm did not come"))

    parked(bench)

    (request,) = (json.loads(raw) for raw in requests_of(bench).values())
    assert request["state"] == "intended"
    assert request["expires"] - request["at"] == bench.runtime.settings.executor.unsent_timeout * 1000
    assert counted(bench, "executor_requests", "unknown") == 1


@pytest.mark.parametrize("step", ["prepare", "send"])
def test_a_file_that_cannot_be_taken_now_is_put_off_and_not_charged(made, step):
    bench = made("a.txt", **{step: NotNow("the store is away", delay_seconds=7)})

    with pytest.raises(SteppedAside, match="the store is away") as caught:
        bench.process()

    assert caught.value.delay_seconds == 7
    assert requests_of(bench) == {}
    bench.executor.scripts[step] = None
    assert bench.claim().charges == {}


def test_a_file_that_was_put_off_until_its_batchs_deadline_ends_with_what_it_waited_for(made):
    bench = made("a.txt", prepare=NotNow("the store is away"))
    with pytest.raises(SteppedAside):
        bench.process()
    overdue(bench)

    bench.process()

    text = f"Processing error: not started before {BATCH_DEADLINE}; last: file 1: the store is away"
    assert bench.outcomes()["a.txt"].error == text


def test_an_answer_that_cannot_be_concluded_now_is_kept(made, answer):
    bench = made("a.txt")
    answer(parked(bench), "kept")
    bench.executor.scripts["conclude"] = NotNow("the destination is away")
    with pytest.raises(SteppedAside):
        bench.process()
    bench.executor.scripts["conclude"] = None

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "kept"}
    assert len(bench.executor.sent) == 1


@pytest.mark.parametrize("end", ["deadline", "stop"])
def test_a_destination_that_is_away_for_good_does_not_keep_the_run_open_for_ever(made, answer, end):
    bench = made("a.txt", "b.txt")
    answer(parked(bench), "paid for")
    bench.executor.scripts["conclude"] = NotNow("the destination is away", shared=False)
    bench.breaker = Breaker(1, 60.0)
    executor = evolve(bench.guarded(), since=time.monotonic() - 10_000)
    if end == "deadline":
        overdue(bench, 300)
    for _ in range(2):
        with pytest.raises(SteppedAside, match="destination is away"):
            handle_doorbell(bench.runtime, executor, BatchDoorbell(bench.execution_id, bench.epoch, 0))
    if end == "deadline":
        overdue(bench, 900)
    else:
        bench.stop()
        files = evolve(bench.runtime.settings.files, status_seconds=0.0)
        bench.runtime.settings = evolve(bench.runtime.settings, files=files)

    handle_doorbell(bench.runtime, executor, BatchDoorbell(bench.execution_id, bench.epoch, 0))

    reason = "when the execution was stopped" if end == "stop" else f"before {BATCH_DEADLINE}"
    error = f"Workflow error: the file is executed, and its result could not be delivered {reason}"
    assert bench.outcomes()["a.txt"].error == f"{error}: the destination is away"
    assert bench.state() is RunState.READY


def test_what_concerns_one_customer_alone_does_not_keep_the_executor_from_others(made):
    bench = made("a.txt", prepare=NotNow("a customer's connector is away", shared=False))
    for _ in range(4):
        with pytest.raises(SteppedAside, match="connector is away"):
            bench.process()
    bench.executor.scripts["prepare"] = None

    parked(bench)

    assert bench.executor.prepared == ["a.txt"]


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_key_that_the_backend_refuses_ends_no_file(made, status):
    bench = made("a.txt", prepare=BackendRefused("the key", endpoint="workflow.get", status=status))

    with pytest.raises(SteppedAside, match="the key"):
        bench.process()

    assert bench.outcomes() == {}
    assert bench.claim().charges == {}


def test_an_executor_that_is_away_again_and_again_is_not_called_for_a_while(made):
    bench = made("a.txt", prepare=NotNow("away"))
    for _ in range(3):
        with pytest.raises(SteppedAside):
            bench.process()
    bench.executor.scripts["prepare"] = None

    with pytest.raises(SteppedAside, match="is not called") as caught:
        bench.process()

    assert caught.value.delay_seconds >= 4  # the first trial comes after 5 s, more or less
    assert bench.executor.prepared == []


@pytest.mark.parametrize("step", ["prepare", "send"])
@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (FileFailed("no tool"), "Workflow error: no tool"),
        (FileFailed(destination="no folder"), "Destination error: no folder"),
        (BackendRefused("no such workflow", endpoint="workflow.get", status=404), "Workflow error: no such workflow"),
    ],
)
def test_a_file_at_fault_ends_with_its_reason_and_its_siblings_do_not(made, step, error, reported):
    bench = made("a.txt", "b.txt")
    bench.executor.scripts[step] = lambda: bench.executor.scripts.update({step: None}) or (_ for _ in ()).throw(error)

    parked(bench)

    assert bench.outcomes()["a.txt"].error == reported
    assert bench.executor.sent[-1][0] == "b.txt"


def test_an_answer_beyond_the_limit_fails_its_file_and_names_the_limit(made, answer):
    bench = made("a.txt")
    answer(parked(bench), "x" * 20_001)

    bench.process()

    assert "MAX_FILE_RESULT_BYTES is 20000" in bench.outcomes()["a.txt"].error


def test_an_answer_that_is_no_json_fails_its_file_at_once(made, answer):
    bench = made("a.txt", "b.txt")
    answer(parked(bench), {"pages": float("nan")})
    answer(parked(bench), "half \ud83d")
    bench.process()
    outcomes = bench.outcomes()
    assert outcomes["a.txt"].error == "Workflow error: the executor's answer is not JSON"
    assert outcomes["b.txt"].result == {"output": "half \ufffd"}


def test_an_answer_with_the_types_of_celerys_json_is_not_dropped(made, answer):
    bench = made("a.txt", "b.txt")
    number = "8f14e45f-ceea-467f-a0e6-b4d4ce1b1c5a"
    value = [UUID(number), Decimal("0.10"), dt.date(2026, 8, 7), dt.datetime(2026, 8, 7, tzinfo=dt.UTC)]
    answer(parked(bench), value)
    answer(parked(bench), {1, 2})
    bench.process()

    outcomes = bench.outcomes()
    assert outcomes["a.txt"].result == {"output": [number, "0.10", "2026-08-07", "2026-08-07T00:00:00+00:00"]}
    assert outcomes["b.txt"].error == "Workflow error: the executor's answer is not JSON"


@pytest.mark.parametrize("fault", [{"kind": "body", "body": "<html>"}, {"kind": "status", "status": 404}])
def test_a_backend_that_does_not_say_whether_the_run_was_stopped_ends_no_file_that_is_out(made, answer, fault):
    bench = made("a.txt")
    ticket = parked(bench)
    files = evolve(bench.runtime.settings.files, status_seconds=0.0)
    bench.runtime.settings = evolve(bench.runtime.settings, files=files)
    bench.platform.fault(f"/workflow-execution/{bench.execution_id}/", **fault)
    parked(bench)
    bench.platform.heal()
    answer(ticket, "paid for")

    bench.process()

    assert bench.outcomes()["a.txt"].result == {"output": "paid for"}


def test_an_executor_whose_task_failed_fails_the_file(made, answer):
    bench = made("a.txt")
    answer(parked(bench), "id-of-its-task", name=FAILURE)

    bench.process()

    assert bench.outcomes()["a.txt"].error.startswith("Workflow error: the executor's task failed")
    assert counted(bench, "executor_answers", "failed") == 1


def test_a_late_answer_is_dropped_and_counted(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    answer(ticket, "first")
    answer(ticket, "second")
    bench.process()
    answer(ticket, "third")

    assert counted(bench, "executor_answers", "late") == 2
    assert bench.outcomes()["a.txt"].result == {"output": "first"}


@pytest.mark.parametrize(
    "args", [[], [1], [1, 2], [1, {"run_id": "x"}], [1, {"run_id": "a b\n", "epoch": 1, "batch": 0, "number": 1}]]
)
def test_what_is_no_answer_is_a_dead_letter_without_its_content(runtime, bench, args):
    app = Celery("files", set_as_current=False)
    tasks.register(app, lambda: runtime)

    app.tasks[ANSWER].apply(args=args, throw=True)

    (letter,) = runtime.ledger.dead_letters.newest()
    assert letter.body == ""


def test_after_a_stop_nothing_is_sent(made):
    bench = made("a.txt")
    bench.stop()

    bench.process()

    assert bench.executor.sent == []
    assert bench.outcomes()["a.txt"].kind is OutcomeKind.SKIPPED


@pytest.mark.parametrize("known", [True, False])
def test_after_a_stop_a_request_whose_time_is_over_is_not_sent_again(made, known):
    bench = made("a.txt")
    parked(bench)
    over(bench)
    stop = bench.runtime.ledger.runs.request_stop
    if known:
        stop(bench.execution_id)
    else:  # since the batch was claimed
        bench.executor.scripts["prepare"] = lambda: stop(bench.execution_id)
        with pytest.raises(SteppedAside, match="stopped"):
            bench.process()

    bench.process()

    assert len(bench.executor.sent) == 1
    assert "stopped while the executor had the file" in bench.outcomes()["a.txt"].error


def test_a_stop_waits_a_little_for_an_answer_and_then_no_longer(made, answer):
    bench = made("a.txt", "b.txt")
    ticket = parked(bench)
    bench.runtime.ledger.runs.request_stop(bench.execution_id)
    parked(bench)
    over(bench)
    key = f"uw:{{{bench.execution_id}}}:requests"
    bench.redis.hset(key, "1", json.dumps(json.loads(bench.redis.hget(key, "1")) | {"expires": 2**52}))

    bench.process()
    answer(ticket, "late")

    outcomes = bench.outcomes()
    assert outcomes["a.txt"].error == "Processing error: the execution was stopped while the executor had the file"
    assert outcomes["b.txt"].kind is OutcomeKind.SKIPPED
    assert bench.state() is RunState.READY
    assert counted(bench, "executor_answers", "late") == 1


def test_an_answer_that_is_out_ends_with_the_batchs_deadline(made):
    bench = made("a.txt")
    parked(bench)
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, process=evolve(settings.process, time_limit=0))

    bench.process()

    assert "before the batch's deadline" in bench.outcomes()["a.txt"].error


def test_what_ended_is_recorded_before_the_batch_is_given_back(made, answer):
    bench = made("a.txt", "b.txt")
    settings = bench.runtime.settings
    bench.runtime.settings = evolve(settings, files=evolve(settings.files, status_seconds=60.0))
    answer(parked(bench), 1)

    parked(bench)

    assert "a.txt" in bench.outcomes()
    assert bench.rows()["a.txt"].status is ExecutionStatus.COMPLETED


def test_the_time_of_a_file_is_that_of_its_request(made, answer):
    bench = made("a.txt")
    ticket = parked(bench)
    key = f"uw:{{{bench.execution_id}}}:requests"
    record = json.loads(bench.redis.hget(key, "1"))
    bench.redis.hset(key, "1", json.dumps(record | {"at": record["at"] - 20_000}))
    answer(ticket, 1)

    bench.process()

    assert bench.outcomes()["a.txt"].seconds > 20
