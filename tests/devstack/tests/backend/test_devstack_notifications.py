"""Notifications: buffered, clubbed by target, sent to the workers, marked."""

import pytest

ENQUEUE = "/internal/v1/webhook/buffer/enqueue/"
PROCESS = "/internal/v1/webhook/buffer/process/"


@pytest.fixture
def quick(start):
    return start(club_seconds=0)


def target(stack, **more):
    _, api_id, _ = stack.api(name=f"api-{len(stack.created)}")
    stack.created[api_id] = api_id
    body = {"organization_id": "acme", "api_id": api_id, "url": "http://127.0.0.1:9/hook", "platform": "API", **more}
    return stack.post("/dev/notifications", body)["notification_id"]


def enqueue(stack, notification_id, execution_id="e1", status="COMPLETED", **more):
    body = {
        "notification_id": notification_id,
        "type": "API",
        "execution_id": execution_id,
        "pipeline_id": "p",
        "pipeline_name": "invoices",
        "status": status,
        "error_message": None,
        "platform": "API",
        "timestamp": "2026-05-05T17:03:34.120000+00:00",
        "additional_data": {"total_files": 2, "successful_files": 2, "failed_files": 0},
        **more,
    }
    return stack.post(ENQUEUE, body)["buffer_row_id"]


def test_one_event_is_sent_as_the_platform_does(quick):
    notification_id = target(quick, authorization_type="BEARER", authorization_key="s3cr3t", max_retries=2)
    row_id = enqueue(quick, notification_id)
    done = quick.post(PROCESS, {})
    assert (done["dispatched_groups"], done["dispatched_rows"]) == (1, 1)
    [(headers, (args, kwargs, _))] = quick.sent("notifications")
    url, body, sent_headers, timeout = args
    assert headers["task"] == "send_webhook_notification"
    assert (url, timeout) == ("http://127.0.0.1:9/hook", 5)
    assert sent_headers == {"Content-Type": "application/json", "Authorization": "Bearer s3cr3t"}
    assert kwargs == {
        "max_retries": 2,
        "retry_delay": 10,
        "platform": "API",
        "raise_on_final_failure": True,
        "buffer_row_ids": [row_id],
        "organization_id": 1,
    }
    assert body["summary"] == {"total": 1, "succeeded": 1, "failed": 0}
    assert body["events"][0]["timestamp"] == "2026 May 5 05:03:34 PM"
    assert body["timestamp"] == "2026-05-05T17:03:34.120000+00:00"
    assert (body["status"], body["execution_id"], "error_message" in body) == ("COMPLETED", "e1", False)


def test_events_of_one_target_are_clubbed(quick):
    first, second = target(quick), target(quick, url="http://127.0.0.1:9/other")
    for execution_id, status in (("e1", "COMPLETED"), ("e2", "ERROR")):
        enqueue(quick, first, execution_id, status)
    enqueue(quick, second, "e1")
    assert quick.post(PROCESS, {})["dispatched_groups"] == 2
    bodies = {args[0]: args[1] for _, (args, _, _) in quick.sent("notifications")}
    clubbed = bodies["http://127.0.0.1:9/hook"]
    assert clubbed["summary"] == {"total": 2, "succeeded": 1, "failed": 1}
    assert [event["execution_id"] for event in clubbed["events"]] == ["e1", "e2"]
    assert "execution_id" not in clubbed
    assert quick.post(PROCESS, {})["dispatched_groups"] == 0


def test_slack_text(quick):
    notification_id = target(quick, platform="SLACK")
    enqueue(quick, notification_id, platform="SLACK")
    quick.post(PROCESS, {})
    [(_, (args, kwargs, _))] = quick.sent("notifications")
    assert kwargs["platform"] == "SLACK"
    assert args[1]["text"].splitlines() == [
        "*1 execution* (:white_check_mark: 1 succeeded  :x: 0 failed)",
        "———",
        "2026 May 5 05:03:34 PM · *e1* · API · invoices · COMPLETED · :white_check_mark: 2/2 files",
    ]


def test_custom_header_and_plain_key(quick):
    authorization = {"authorization_type": "CUSTOM_HEADER", "authorization_key": "k", "authorization_header": "X-K"}
    enqueue(quick, target(quick, **authorization))
    enqueue(quick, target(quick, authorization_type="API_KEY", authorization_key="plain"))
    quick.post(PROCESS, {})
    headers = [args[2] for _, (args, _, _) in quick.sent("notifications")]
    assert {"Content-Type": "application/json", "X-K": "k"} in headers
    assert {"Content-Type": "application/json", "Authorization": "plain"} in headers


def test_events_wait_for_their_interval(start):
    stack = start(club_seconds=300)
    enqueue(stack, target(stack))
    assert stack.post(PROCESS, {})["dispatched_groups"] == 0
    body = {"organization_id": "acme", "key": "NOTIFICATION_CLUB_INTERVAL", "value": 0}
    stack.post("/dev/configuration", body)
    enqueue(stack, target(stack), "e2")
    assert stack.post(PROCESS, {})["dispatched_rows"] == 1


@pytest.mark.parametrize(("end", "status"), [("dispatched", "DISPATCHED"), ("dead-letter", "DEAD_LETTER")])
def test_marking(quick, end, status):
    row_id = enqueue(quick, target(quick))
    mark = f"/internal/v1/webhook/buffer/mark/{end}/"
    body = {"buffer_row_ids": [row_id], "organization_id": 1}
    assert quick.post(mark, body)["updated"] == 0
    quick.post(PROCESS, {})
    assert quick.post(mark, {**body, "organization_id": 2})["updated"] == 0
    assert quick.post(mark, body)["updated"] == 1
    [row] = quick.get("/dev/notification-buffer")
    assert row["status"] == status


def test_failure_only_target_hears_of_no_start(quick):
    assert enqueue(quick, target(quick, notify_on_failures=True), status="INPROGRESS") is None
    assert quick.get("/dev/notification-buffer") == []


def test_loop_sends_without_being_asked(start, until):
    stack = start(club_seconds=0, buffer_loop=True, buffer_loop_seconds=0.02)
    enqueue(stack, target(stack))
    assert len(until(lambda: stack.sent("notifications"))) == 1


def test_broker_that_is_gone_leaves_the_row_to_be_given_back(start):
    stack = start(club_seconds=0, broker_url="redis://127.0.0.1:1/0")
    enqueue(stack, target(stack))
    stack.post(PROCESS, {})
    [row] = stack.get("/dev/notification-buffer")
    assert (row["status"], row["attempts"]) == ("SENDING", 1)
    assert stack.effects("notifications.dispatch") == []


def test_direct_send_goes_to_the_default_queue(stack):
    body = {
        "url": "http://127.0.0.1:9/x",
        "payload": {"a": 1},
        "authorization_type": "BEARER",
        "authorization_key": "k",
    }
    task_id = stack.post("/internal/v1/webhook/send/", body)["task_id"]
    [(headers, (args, kwargs, _))] = stack.sent("celery")
    assert (headers["id"], headers["task"]) == (task_id, "send_webhook_notification")
    assert args == [
        "http://127.0.0.1:9/x",
        {"a": 1},
        {"Content-Type": "application/json", "Authorization": "Bearer k"},
        30,
    ]
    assert kwargs == {"max_retries": 3, "retry_delay": 60}
