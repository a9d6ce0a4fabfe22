"""Terminal is one-way: what is terminal already, a user's stop, and the second read-back."""

import pytest

from unstract_worker_callback.settle import recheck, write_final
from unstract_worker_core.errors import BackendUnavailable
from unstract_worker_core.ledger import FinalState, RunState
from unstract_worker_core.statuses import ExecutionStatus, RunKind

TERMINAL = [status for status in ExecutionStatus if status.terminal]
OPEN = [status for status in ExecutionStatus if not status.terminal]
PIPELINE = {"COMPLETED": "SUCCESS", "ERROR": "FAILURE", "STOPPED": "FAILURE"}
TOLD = {"COMPLETED": "SUCCESS", "ERROR": "ERROR", "STOPPED": "STOPPED"}


@pytest.mark.parametrize("last_try", [False, True])
@pytest.mark.parametrize("kind", RunKind)
@pytest.mark.parametrize("stands", TERMINAL)
def test_the_first_terminal_status_stays_and_is_what_everybody_is_told(rig, stands, kind, last_try):
    prepared = rig.prepare(kind)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1), rig.bad(2)])
    rig.set_status(prepared, stands, total_files=2, successful_files=1, failed_files=1)
    rig.charge(prepared.id, 5 if last_try else 0)

    rig.finalise(prepared)

    assert [end["detail"]["status"] for end in rig.ends(prepared)] == [stands]
    assert rig.results(prepared) == []  # the caller may have read the list, which deletes it
    assert rig.final(prepared).status is stands
    (event,) = rig.events(prepared)
    if kind is RunKind.ETL:
        assert rig.pipeline_writes(prepared) == [PIPELINE[stands]]
        assert event["status"] == TOLD[stands]
    else:
        assert event["status"] == stands


def test_the_reason_that_stands_is_the_one_that_is_told(rig):
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
    assert len(rig.results(prepared)) == (2 if kind is RunKind.API else 0)


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

    assert rig.ends(prepared) == []
    assert rig.seen(prepared)["status"] == "STOPPED"
    assert rig.final(prepared).status is ExecutionStatus.STOPPED
    assert (rig.final(prepared).total_files, rig.final(prepared).successful_files) == (2, 2)


def test_a_user_s_stop_between_two_attempts_wins(rig):
    prepared = rig.run([rig.ok(1)], RunKind.ETL)
    rig.fault("status", "update_status", status=503, count=1)
    rig.finalise(prepared)
    rig.stop(prepared)

    rig.finalise(prepared)

    assert rig.ends(prepared) == []
    assert rig.pipeline_writes(prepared) == ["FAILURE"]


def test_a_user_s_stop_after_the_end_is_left_alone(rig):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.stop(prepared)

    corrected = recheck(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

    assert corrected is False
    assert rig.seen(prepared)["status"] == "STOPPED"


@pytest.mark.parametrize("late", OPEN)
def test_a_late_write_is_corrected_by_the_second_read_back(either_rig, late):
    rig = either_rig
    prepared = rig.run([rig.ok(1), rig.bad(2)])
    rig.finalise(prepared)
    for _ in range(2):  # each late write is one of its own, also for a backend that keeps keys
        rig.set_status(prepared, late)

        assert recheck(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

        assert rig.shown(prepared) == ("COMPLETED", 2, 1, 1)
    assert recheck(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared)) is False


@pytest.mark.parametrize("status", TERMINAL)
def test_the_second_read_back_leaves_every_terminal_status(rig, status):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.set_status(prepared, status)
    before = len(rig.ends(prepared))

    assert recheck(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared)) is False

    assert len(rig.ends(prepared)) == before


def test_the_second_read_back_needs_an_execution_and_a_status(rig):
    backend, gone = rig.runtime.backend, "00000000-0000-4000-8000-000000000000"

    assert recheck(backend, rig.organization, gone, FinalState(ExecutionStatus.COMPLETED)) is False
    began = len(rig.requests())
    assert recheck(backend, rig.organization, gone, FinalState()) is False
    assert len(rig.requests()) == began
    with pytest.raises(ValueError, match="needs a status"):
        write_final(backend, rig.organization, gone, FinalState(), "key")


def test_the_second_read_back_says_when_it_could_not_look(rig):
    prepared = rig.run([rig.ok(1)])
    rig.finalise(prepared)
    rig.set_status(prepared, ExecutionStatus.EXECUTING)
    rig.fault("status", "update_status", status=503)

    with pytest.raises(BackendUnavailable):
        recheck(rig.runtime.backend, rig.organization, prepared.id, rig.final(prepared))

    assert rig.state(prepared.id) is RunState.DONE
