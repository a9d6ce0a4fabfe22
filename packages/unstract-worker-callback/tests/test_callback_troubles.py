"""Finalising against a backend or a Redis in trouble: what is charged, what is given back, and how it ends."""

import json
import time

import pytest

from unstract_worker_core.backend.executions import Executions
from unstract_worker_core.backend.pipelines import Pipelines
from unstract_worker_core.errors import BackendError, LedgerUnavailable
from unstract_worker_core.ledger import RunState
from unstract_worker_core.runs.failure_policy import Place, Reaction, reaction_to
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_core.testing import errors_of_each_kind

GET = {"path": "v1/workflow-execution/[^/]+/$", "method": "GET"}


@pytest.mark.parametrize("kind", ["status", "cut_before"])
@pytest.mark.parametrize("path", ["v1/workflow-execution", "update_status", "v1/pipeline", "notifications", "enqueue"])
def test_a_backend_that_is_away_charges_nothing_however_long(rig, path, kind):
    prepared = rig.prepare(RunKind.ETL)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault(kind, path, status=503)

    for _ in range(7):
        assert rig.finalise(prepared)
        assert rig.state(prepared.id) is RunState.READY
        assert rig.meta(prepared.id)["owner"] == ""

    assert rig.attempts(prepared.id) == 0
    assert 0.5 < rig.due_in(prepared.id) <= 1
    assert "HTTP 503" in rig.meta(prepared.id)["last_error"] or kind == "cut_before"
    rig.heal()
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert (len(rig.ends(prepared)), len(rig.notified(prepared)), len(rig.pipeline_writes(prepared))) == (1, 1, 1)


def test_an_open_breaker_is_waited_for(rig):
    prepared = rig.run([rig.ok(1)])
    backend = rig.runtime.backend
    for _ in range(50):
        backend.breaker.failed()
    backend.breaker._next_trial = time.monotonic() + 60
    backend._call._breaker_wait = 0.0  # a call would wait for it, for a while

    rig.finalise(prepared)

    assert rig.due_in(prepared.id) == pytest.approx(60, abs=5)
    assert rig.attempts(prepared.id) == 0
    assert rig.ends(prepared) == []


@pytest.mark.parametrize("path", [GET["path"], "update_status"])
def test_a_lasting_500_is_charged_and_in_the_end_an_error(rig, path):
    prepared = rig.run([rig.ok(1)])
    rig.fault("status", path, status=500)

    waits = []
    for _ in range(5):
        rig.finalise(prepared)
        waits.append(round(rig.due_in(prepared.id)))

    assert waits == [5, 10, 20, 40, 80]
    assert rig.attempts(prepared.id) == 5
    rig.heal()
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("ERROR", 1, 1, 0)
    shown = rig.seen(prepared)["error_message"]
    assert shown.startswith("finalising failed 5 times: workflow-execution.")
    assert "HTTP 500" in shown
    assert rig.state(prepared.id) is RunState.DONE
    assert len(rig.results(prepared)) == 1


@pytest.mark.parametrize(("attempts", "status"), [(4, "COMPLETED"), (5, "ERROR")])
def test_four_failures_are_not_five(rig, attempts, status):
    prepared = rig.run([rig.ok(1)])
    rig.charge(prepared.id, attempts)

    rig.finalise(prepared)

    assert rig.seen(prepared)["status"] == status


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "html", "path": "update_status"},
        {"kind": "body", "path": "update_status", "status": 200, "body": "[]"},
        {"kind": "body", "path": "update_status", "status": 200, "body": '{"status": "error", "error": "no"}'},
        {"kind": "status", "path": "update_status", "status": 400},
    ],
)
def test_a_definite_no_and_an_answer_of_the_wrong_shape_are_charged(rig, fault):
    prepared = rig.run([rig.ok(1)])
    rig.fault(fault.pop("kind"), fault.pop("path"), **fault)

    rig.finalise(prepared)

    assert rig.attempts(prepared.id) == 1
    assert rig.ends(prepared) == []
    assert rig.meta(prepared.id)["last_error"].startswith("workflow-execution.update_status: ")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_says_nothing_about_the_run(rig, status):
    prepared = rig.run([rig.ok(1)])
    rig.fault("status", "v1/workflow-execution", status=status)

    for _ in range(7):
        rig.finalise(prepared)

    assert rig.attempts(prepared.id) == 0
    assert 29 < rig.due_in(prepared.id) <= 60
    assert "INTERNAL_SERVICE_API_KEY" in rig.meta(prepared.id)["last_error"] or status == 403
    assert b"unstract_worker_backend_key_refused 1.0" in rig.runtime.metrics.render()
    rig.heal()
    rig.finalise(prepared)
    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert b"unstract_worker_backend_key_refused 0.0" in rig.runtime.metrics.render()


@pytest.mark.parametrize("path", ["v1/pipeline", "notifications", "enqueue"])
def test_a_key_that_is_not_taken_after_the_status_is_waited_for(rig, path):
    prepared = rig.prepare(RunKind.ETL)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.charge(prepared.id, 5)
    rig.fault("status", path, status=401)

    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.READY
    rig.heal()
    rig.finalise(prepared)
    assert (len(rig.ends(prepared)), len(rig.notified(prepared)), len(rig.pipeline_writes(prepared))) == (1, 1, 1)


def test_a_key_that_is_not_taken_at_the_last_try_does_not_cost_the_run(rig):
    prepared = rig.run([rig.ok(1)])
    rig.charge(prepared.id, 5)
    rig.fault("status", "v1/workflow-execution", status=401)

    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.READY
    assert rig.letters() == []


@pytest.mark.parametrize("kind", ["cut_after", "truncated"])
def test_a_write_of_unknown_outcome_is_looked_for_and_not_repeated(either_rig, kind):
    rig = either_rig
    prepared = rig.run([rig.ok(1)], RunKind.ETL)
    rig.fault(kind, "update_status", count=4)

    rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    assert rig.pipeline_writes(prepared) == ["SUCCESS"]
    assert rig.state(prepared.id) is RunState.DONE


def test_a_write_of_unknown_outcome_that_was_not_applied_is_made_again(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("hang", "update_status", count=2, delay=0.1)

    rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    assert rig.state(prepared.id) is RunState.DONE


def test_a_write_of_unknown_outcome_that_is_never_applied_is_made_later(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("hang", "update_status", count=3, delay=0.1)

    rig.finalise(prepared)
    assert rig.state(prepared.id) is RunState.READY
    assert rig.attempts(prepared.id) == 0
    rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    assert rig.state(prepared.id) is RunState.DONE


def test_an_unknown_execution_becomes_a_dead_letter_and_is_not_tried_again(rig):
    prepared = rig.prepare()
    prepared.id = "00000000-0000-4000-8000-000000000000"
    rig.arm(prepared, [rig.ok(1)])

    rig.finalise(prepared)

    (reason,) = rig.letters()
    assert reason.startswith(f"execution {prepared.id} cannot be finalised: workflow-execution.get")
    assert rig.counted("dead_letters", kind="execution") == 1
    assert rig.state(prepared.id) is RunState.DONE
    assert rig.redis.zscore("uw:due", prepared.id) is None
    assert rig.results(prepared) == []


def test_a_404_that_the_backend_did_not_say_is_no_unknown_execution(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("html", status=404, **GET)

    rig.finalise(prepared)

    assert rig.letters() == []
    assert (rig.state(prepared.id), rig.attempts(prepared.id)) == (RunState.READY, 1)


def test_an_execution_of_another_organization_becomes_a_dead_letter_at_the_last_try(rig):
    prepared = rig.prepare()
    rig.dev("POST", "organizations", {"organization_id": "org_other", "name": "other"})
    mine, rig.organization = rig.organization, "org_other"
    rig.arm(prepared, [rig.ok(1)])
    rig.organization = mine

    for attempts in range(5):
        rig.finalise(prepared)
        assert rig.state(prepared.id) is RunState.READY, attempts
    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.DONE
    assert len(rig.letters()) == 1
    assert rig.shown(prepared)[0] == "EXECUTING"


def test_a_record_that_cannot_be_read_ends_the_run_as_an_error(rig):
    prepared = rig.run([rig.ok(1), rig.ok(2)])
    rig.redis.hset(f"uw:{{{prepared.id}}}:results", "2", '{"number": "two"}')

    for _ in range(5):
        rig.finalise(prepared)
        assert rig.ends(prepared) == []
    rig.finalise(prepared)

    assert rig.shown(prepared) == ("ERROR", 2, 0, 0)
    assert "finalising failed 5 times: FileOutcome" in rig.seen(prepared)["error_message"]
    assert rig.results(prepared) == []
    assert rig.platform.keys("uw:staging:*") == []
    assert rig.state(prepared.id) is RunState.DONE


def test_a_defect_is_charged_and_named_by_its_type_only(rig):
    prepared = rig.run([rig.ok(1)])

    def broken(*args, **kwargs):
        raise ZeroDivisionError("with a secret in it")

    held, rig.runtime.backend.executions = rig.runtime.backend.executions, None
    rig.finalise(prepared)
    rig.runtime.backend.executions = held

    assert (rig.attempts(prepared.id), rig.meta(prepared.id)["last_error"]) == (1, "unexpected AttributeError")


@pytest.mark.parametrize("path", ["v1/pipeline", "notifications", "enqueue"])
def test_what_follows_the_status_is_given_up_after_five_failures(rig, path):
    prepared = rig.prepare(RunKind.ETL)
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("status", path, status=500)

    for _ in range(5):
        rig.finalise(prepared)
        assert rig.state(prepared.id) is RunState.READY
    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.DONE
    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)  # not the ERROR of a run that could not be finalised
    assert len(rig.ends(prepared)) == 1


def test_at_the_last_try_a_backend_that_is_away_is_still_waited_for(rig):
    prepared = rig.run([rig.ok(1)], RunKind.ETL)
    rig.charge(prepared.id, 5)
    rig.fault("status", "v1/pipeline", status=503)

    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.READY
    assert rig.attempts(prepared.id) == 5


def test_a_ledger_that_is_away_is_raised_to_the_caller(rig, redis_server):
    prepared = rig.run([rig.ok(1)])
    rig.runtime.ledger.runs._store._attempts = 1
    rig.fault("delay", "update_status", delay=0)
    try:
        rig.redis.config_set("maxmemory", "1")
        with pytest.raises(LedgerUnavailable):
            rig.finalise(prepared)
    finally:
        rig.redis.config_set("maxmemory", "0")

    assert rig.ends(prepared) == []
    assert rig.finalise(prepared)
    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)


def test_results_that_redis_refuses_for_good_do_not_keep_the_run_for_ever(rig):
    prepared = rig.run([rig.ok(1)])
    rig.platform.execute_command("ACL", "SETUSER", "default", "-rpush")
    try:
        for _ in range(5):
            rig.finalise(prepared)
            assert rig.ends(prepared) == []
        rig.finalise(prepared)
    finally:
        rig.platform.execute_command("ACL", "SETUSER", "default", "+rpush")

    assert rig.shown(prepared) == ("ERROR", 1, 1, 0)
    assert "finalising failed 5 times: api_results: Redis answered" in rig.seen(prepared)["error_message"]


def test_an_inactive_pipeline_does_not_keep_the_run(rig):
    prepared = rig.prepare(RunKind.ETL, active=False)
    target = rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])

    rig.finalise(prepared)

    assert rig.pipeline_writes(prepared) == []
    assert rig.notified(prepared) == [target]
    assert (rig.state(prepared.id), rig.attempts(prepared.id)) == (RunState.DONE, 0)


@pytest.mark.parametrize("pipeline", ["not-a-uuid", "00000000-0000-4000-8000-000000000000"])
@pytest.mark.parametrize("kind", RunKind)
def test_a_pipeline_that_is_gone_or_no_uuid_does_not_keep_the_run(rig, kind, pipeline):
    prepared = rig.run([rig.ok(1)], kind, pipeline_id=pipeline)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert (rig.state(prepared.id), rig.attempts(prepared.id)) == (RunState.DONE, 0)


def test_a_status_that_was_overwritten_at_once_is_written_again(either_rig):
    """A stale full-row write between our write and our read-back (reliability R26)."""
    rig = either_rig
    prepared = rig.run([rig.ok(1)])
    shown = rig_answer(rig, prepared)
    rig.fault("body", **GET, status=200, body=json.dumps(shown), skip=1, count=1)

    rig.finalise(prepared)

    assert rig.shown(prepared) == ("COMPLETED", 1, 1, 0)
    assert rig.state(prepared.id) is RunState.DONE
    first, second = rig.ends(prepared)  # a backend that keeps keys must not take the second for the first
    assert first["key"] != second["key"]


def test_a_status_that_does_not_last_is_tried_again_later(rig):
    prepared = rig.run([rig.ok(1)])
    rig.fault("body", **GET, status=200, body=json.dumps(rig_answer(rig, prepared)), count=3)

    rig.finalise(prepared)

    assert rig.state(prepared.id) is RunState.READY
    assert rig.attempts(prepared.id) == 0
    assert "not what the backend shows" in rig.meta(prepared.id)["last_error"]


def rig_answer(rig, prepared):
    """What the backend answers while the execution executes."""
    from unstract_devstack.http_calls import call

    headers = {"Authorization": f"Bearer {rig.backend.api_key}", "X-Organization-ID": rig.organization}
    url = f"{rig.backend.base_url}/v1/workflow-execution/{prepared.id}/?file_execution=false"
    answer = call("GET", url, headers=headers).json()
    assert answer["execution"]["status"] == ExecutionStatus.EXECUTING
    return answer


@pytest.mark.parametrize(("kind", "error"), errors_of_each_kind())
def test_each_error_of_finalising_is_treated_as_the_policy_says(rig, monkeypatch, kind, error):
    prepared = rig.run([rig.ok(1)])

    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(Executions, "get", failing)
    reaction = reaction_to(error, Place.FINALISE)
    if reaction is Reaction.LEAVE:
        with pytest.raises(type(error)):
            rig.finalise(prepared)
    else:
        assert rig.finalise(prepared)

    meta = rig.meta(prepared.id)
    if reaction is Reaction.END:
        assert (meta["state"], len(rig.letters())) == ("DONE", 1)
        return
    assert (meta["state"], rig.letters()) == ("READY", [])
    assert meta["attempts"] == ("1" if reaction is Reaction.CHARGE else "0")
    assert (meta["owner"] == "") is (reaction is not Reaction.LEAVE)


@pytest.mark.parametrize(("kind", "error"), errors_of_each_kind())
@pytest.mark.parametrize("last_attempt", [False, True])
def test_each_error_after_the_status_is_treated_as_the_policy_says(rig, monkeypatch, kind, error, last_attempt):
    prepared = rig.run([rig.ok(1)], RunKind.ETL)
    rig.charge(prepared.id, 5 if last_attempt else 0)

    def failing(*args, **kwargs):
        raise error

    monkeypatch.setattr(Pipelines, "update", failing)
    reaction = reaction_to(error, Place.FOLLOW_UP)
    if reaction is Reaction.LEAVE:
        with pytest.raises(type(error)):
            rig.finalise(prepared)
    else:
        assert rig.finalise(prepared)

    assert len(rig.ends(prepared)) == 1
    given_up = last_attempt and reaction is Reaction.CHARGE and isinstance(error, BackendError)
    done = reaction is Reaction.GO_ON or given_up
    assert rig.state(prepared.id) is (RunState.DONE if done else RunState.READY)
    if not done:
        assert rig.attempts(prepared.id) == (5 if last_attempt else 0) + (reaction is Reaction.CHARGE)
