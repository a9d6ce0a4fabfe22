"""Notifications of a run: to whom, with which content, how often."""

import json

import pytest

from unstract_worker_core.backend.pipelines import status_text
from unstract_worker_core.ledger import RunState
from unstract_worker_core.statuses import ExecutionStatus, RunKind


@pytest.mark.parametrize(
    ("status", "api", "etl"),
    [("COMPLETED", "COMPLETED", "SUCCESS"), ("ERROR", "ERROR", "ERROR"), ("STOPPED", "STOPPED", "STOPPED")],
)
def test_the_words_for_a_status(status, api, etl):
    assert status_text(ExecutionStatus(status), RunKind.API) == api
    assert status_text(ExecutionStatus(status), RunKind.ETL) == etl


@pytest.mark.parametrize("kind", RunKind)
def test_an_event_says_what_the_contract_says(rig, kind):
    prepared = rig.prepare(kind)
    rig.subscribe(prepared, platform="SLACK")
    rig.arm(prepared, [rig.ok(1), rig.bad(2)])

    rig.finalise(prepared)

    (event,) = rig.events(prepared)
    api = kind is RunKind.API
    assert event.pop("timestamp").endswith("+00:00")
    assert event == {
        "type": "API" if api else "ETL",
        "execution_id": prepared.id,
        "pipeline_id": prepared.pipeline_id,
        "pipeline_name": f"invoices-{prepared.workflow_id[:8]}" if api else "nightly",
        "status": "COMPLETED" if api else "SUCCESS",
        "error_message": None,
        "additional_data": {"total_files": 2, "successful_files": 1, "failed_files": 1},
    }
    path = "webhook/api/" if api else "webhook/pipeline/"
    assert [path in each["path"] for each in rig.requests("/notifications/")] == [True]


def test_the_numbers_are_the_backend_s(rig):
    prepared = rig.prepare()
    wanted = rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1), rig.bad(2)])
    counts = {"total_files": 9, "successful_files": 4, "failed_files": 3}
    rig.fault("body", "/notifications/", status=200, body=answer({"id": wanted}, counts=counts))

    rig.finalise(prepared)

    (event,) = rig.events(prepared)
    assert event["additional_data"] == counts


@pytest.mark.parametrize("kind", RunKind)
def test_the_end_of_an_empty_run_is_not_notified(rig, kind):
    prepared = rig.prepare(kind)
    rig.subscribe(prepared)
    rig.arm(prepared)

    rig.finalise(prepared)

    assert rig.shown(prepared)[0] == "COMPLETED"
    assert rig.notified(prepared) == []
    assert rig.pipeline_writes(prepared) == ([] if kind is RunKind.API else ["SUCCESS"])


def test_an_empty_run_that_failed_is_notified(rig):
    prepared = rig.prepare(RunKind.ETL)
    rig.subscribe(prepared)
    rig.arm(prepared, error="the source is not there")

    rig.finalise(prepared)

    assert [event["error_message"] for event in rig.events(prepared)] == ["the source is not there"]


def test_an_error_is_notified_with_its_reason(rig):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.bad(1, "Workflow error: unreadable")])

    rig.finalise(prepared)

    (event,) = rig.events(prepared)
    assert (event["status"], event["error_message"]) == (
        "ERROR",
        "all 1 files failed; first: Workflow error: unreadable",
    )


@pytest.mark.parametrize(("outcome", "notified"), [("ok", 1), ("bad", 2)])
def test_a_subscriber_of_failures_gets_failures_only(rig, outcome, notified):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.subscribe(prepared, notify_on_failures=True)
    rig.arm(prepared, [getattr(rig, outcome)(1)])

    rig.finalise(prepared)

    assert len(rig.notified(prepared)) == notified


def answer(*targets, counts=None):
    shown = [{"notification_type": "WEBHOOK", "platform": "API", "is_active": True} | target for target in targets]
    return json.dumps(
        {"status": "success", "api_name": "invoices", "notifications": shown, "execution_counts": counts or {}}
    )


def test_inactive_targets_and_those_that_are_no_webhooks_are_left_out(rig):
    prepared = rig.prepare()
    wanted, inactive, mail = (rig.subscribe(prepared) for _ in range(3))
    rig.arm(prepared, [rig.ok(1)])
    targets = [
        {"id": wanted, "platform": None},
        {"id": inactive, "is_active": False},
        {"id": mail, "notification_type": "MAIL"},
    ]
    rig.fault("body", "/notifications/", status=200, body=answer(*targets))

    rig.finalise(prepared)

    assert rig.notified(prepared) == [wanted]
    (event,) = rig.events(prepared)  # the backend sent no counts: ours are used
    assert event["additional_data"]["total_files"] == event["additional_data"]["successful_files"] == 1


def test_a_refused_notification_does_not_keep_the_others_or_the_run(rig):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    second = rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("status", "enqueue", status=404, count=1)

    rig.finalise(prepared)

    assert rig.notified(prepared) == [second]
    assert rig.state(prepared.id) is RunState.DONE


@pytest.mark.parametrize("status", [400, 404])
def test_subscribers_that_cannot_be_read_do_not_keep_the_run(rig, status):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("status", "/notifications/", status=status)

    rig.finalise(prepared)

    assert rig.notified(prepared) == []
    assert rig.state(prepared.id) is RunState.DONE


def test_an_event_that_the_target_does_not_want_is_not_offered_again(rig):
    prepared = rig.prepare()
    rig.subscribe(prepared), rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("body", "enqueue", status=200, body='{"status": "ok", "buffer_row_id": null}', count=1)
    rig.fault("status", "enqueue", status=503, count=1)

    rig.finalise(prepared)
    assert rig.state(prepared.id) is RunState.READY
    rig.finalise(prepared)

    assert len(rig.notified(prepared)) == 1
    assert len(rig.requests("enqueue")) == 3
    assert rig.state(prepared.id) is RunState.DONE


def test_an_enqueue_of_unknown_outcome_is_repeated_with_its_key(either_rig):
    """Nothing can be looked up: at least once, and once where the backend keeps keys."""
    rig = either_rig
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])
    rig.fault("cut_after", "enqueue", count=1)

    rig.finalise(prepared)
    assert rig.state(prepared.id) is RunState.READY
    rig.finalise(prepared)

    assert len(rig.notified(prepared)) == (1 if rig.keyed else 2)
    assert len({each["key"] for each in rig.requests("enqueue")}) == 1
    assert rig.state(prepared.id) is RunState.DONE
    assert len(rig.ends(prepared)) == 1


def test_numbers_that_are_zero_are_told_too(rig):
    prepared = rig.prepare()
    rig.subscribe(prepared)
    rig.arm(prepared, [rig.ok(1)])

    rig.finalise(prepared)

    (event,) = rig.events(prepared)
    assert event["additional_data"] == {"total_files": 1, "successful_files": 1, "failed_files": 0}
