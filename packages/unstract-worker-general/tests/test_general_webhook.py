"""Webhook deliveries: to a real receiver, counted in the ledger, marked in the reference backend."""

import json
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from unstract_devstack.sink import Answer, running_sink
from unstract_worker_core.config import WebhookSettings
from unstract_worker_core.errors import LeaseLost
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.runs.run_handler import handle_run
from unstract_worker_core.statuses import RunKind
from unstract_worker_general.webhooks.client import WebhookClient, headers_of, seconds_for
from unstract_worker_general.webhooks.delivery import accept_webhook, webhook_jobs

SECRET = "s3cr3t-of-the-receiver"
PAYLOAD = {"text": "*1 execution*"}


@pytest.fixture
def sink():
    with running_sink() as handle:
        yield handle


def accept(rig, url, task_id=None, payload=PAYLOAD, headers=None, timeout=5, **kwargs):
    given = {"Authorization": f"Bearer {SECRET}"} if headers is None else headers
    delivery = rig.delivery(url, payload, given, timeout, task_id=task_id, **kwargs)
    accept_webhook(rig.runtime, delivery)
    return f"webhook.{delivery.task_id}"


def deliver(rig, run):
    with webhook_jobs(rig.runtime, WebhookClient()) as jobs:
        return handle_run(rig.runtime, run, jobs)


def final(rig, run):
    found = rig.runtime.ledger.runs.final(run)
    return found.detail if found else None


def buffered(rig, url):
    """A buffered row of the backend, being sent: (organization's primary key, row id)."""
    workflow = rig.dev("POST", "/dev/workflows", {"organization_id": rig.organization, "kind": "api", "name": "w"})
    api = rig.dev(
        "POST",
        "/dev/api-deployments",
        {
            "organization_id": rig.organization,
            "workflow_id": workflow["workflow_id"],
            "api_name": f"n_{uuid4().hex[:6]}",
        },
    )["api_id"]
    target = {"organization_id": rig.organization, "api_id": api, "url": url, "platform": "SLACK"}
    notification = rig.dev("POST", "/dev/notifications", target)["notification_id"]
    event = {"notification_id": notification, "pipeline_id": api, "pipeline_name": "n", "status": "COMPLETED"}
    more = {"platform": "SLACK", "execution_id": str(uuid4())}
    row = rig.dev("POST", "/internal/v1/webhook/buffer/enqueue/", event | more)["buffer_row_id"]
    return rig.dev("POST", "/dev/organizations", {"organization_id": rig.organization})["pk"], row


def marks(rig, kind):
    return [each["status"] for each in rig.requests() if f"buffer/mark/{kind}" in each["path"]]


def deliveries(rig, outcome):
    return rig.runtime.metrics.webhook_deliveries.labels(outcome)._value.get()


def test_a_webhook_is_delivered_and_its_rows_are_marked(rig, sink):
    organization, row = buffered(rig, sink.url)
    run = accept(rig, f"{sink.url}/x", platform="SLACK", buffer_row_ids=[row], organization_id=organization)
    assert rig.starts == [(run, RunTask.WEBHOOK, RunKind.ETL)]
    assert deliver(rig, run)
    (post,) = sink.received()
    assert (post.method, post.path, json.loads(post.body)) == ("POST", "/x", PAYLOAD)
    assert post.headers["authorization"] == f"Bearer {SECRET}"
    assert post.headers["content-type"] == "application/json"
    assert post.headers["webhook-id"] == run.removeprefix("webhook.")
    assert final(rig, run) == {"delivery": "delivered", "attempts": 1}
    assert marks(rig, "dispatched") == [200]
    assert deliveries(rig, "delivered") == 1


def test_marks_are_made_with_the_key_alone(rig, sink):
    organization, row = buffered(rig, sink.url)
    run = accept(rig, sink.url, buffer_row_ids=[row], organization_id=organization)
    deliver(rig, run)
    (mark,) = [each for each in rig.requests() if "mark/dispatched" in each["path"]]
    assert (mark["status"], mark["organization"]) == (200, None)


def test_a_repeated_message_is_delivered_once(rig, sink):
    run = accept(rig, sink.url, task_id="the-message")
    deliver(rig, run)
    accept(rig, sink.url, task_id="the-message")
    assert not deliver(rig, run)
    assert len(sink.received()) == 1


def test_w6_a_failure_is_tried_again_after_its_delay_with_the_same_id(rig, sink):
    sink.answer_next(Answer(500), Answer(503))
    run = accept(rig, sink.url, max_retries=2, retry_delay=60)
    deliver(rig, run)
    meta = rig.meta(run)
    assert (meta["attempts"], meta["last_error"], meta["owner"]) == ("1", "HTTP 500", "")
    due = rig.redis.zscore("uw:due", run)
    seconds, micro = rig.redis.time()
    assert 50_000 < due - (seconds * 1000 + micro / 1000) <= 60_000
    deliver(rig, run)
    deliver(rig, run)
    assert len({post.headers["webhook-id"] for post in sink.received()}) == 1
    assert len(sink.received()) == 3
    assert final(rig, run) == {"delivery": "delivered", "attempts": 3}
    assert deliveries(rig, "retry") == 2


@pytest.mark.parametrize(("retries", "posts"), [(None, 1), (0, 1), (1, 2), (3, 4), (50, 5)])
def test_w6_after_the_last_failure_it_is_a_dead_letter(rig, sink, retries, posts):
    sink.answer = Answer(500)
    organization, row = buffered(rig, sink.url)
    run = accept(rig, sink.url, max_retries=retries, buffer_row_ids=[row], organization_id=organization)
    while deliver(rig, run):
        pass
    assert len(sink.received()) == posts
    assert final(rig, run) == {"delivery": "dead", "attempts": posts}
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert letter.reason == f"not delivered in {posts} tries, last: HTTP 500"
    assert letter.body == f"rows: {row}"
    assert marks(rig, "dead-letter") == [200]
    assert deliveries(rig, "dead") == 1


@pytest.mark.parametrize(
    ("url", "headers"), [("http://127.0.0.1:1/x", {}), ("http://127.0.0.1:1/x", {"X-Key": "\u20ac"})]
)
def test_what_cannot_be_reached_is_a_failure_without_its_address(rig, url, headers):
    run = accept(rig, url, headers=headers)
    deliver(rig, run)
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert "no connection (" in letter.reason
    assert "127.0.0.1" not in letter.reason


def test_neither_url_nor_header_is_logged_or_kept(rig, sink):
    sink.answer = Answer(500)
    url = f"{sink.url}/{SECRET}?token={SECRET}"
    bad = accept(rig, url, headers={"X-Key": f"{SECRET}\u20ac"}, max_retries=0)
    plain = accept(rig, url, max_retries=1)
    refused = accept(rig, url.replace("://", f"://user:{SECRET}@"))
    with capture_logs() as logged:
        for run in (bad, plain, plain, refused):
            deliver(rig, run)
    assert rig.runtime.ledger.dead_letters.count() == 3
    # A run that is done keeps nothing of what it was started with.
    assert {key.rpartition(":")[2] for key in rig.redis.scan_iter("uw:{webhook.*")} == {"meta"}
    kept = str(rig.redis.lrange("uw:dead_letters", 0, -1)) + str([rig.meta(run) for run in (bad, plain, refused)])
    assert SECRET not in kept
    assert "HTTP 500" in str(logged)
    assert SECRET not in str(logged)


def test_w6_a_death_after_the_post_repeats_it_with_the_same_id(rig, sink, monkeypatch):
    runs = rig.runtime.ledger.runs
    journal = runs.journal

    def dying(claim, notes):
        monkeypatch.setattr(runs, "journal", journal)
        raise LeaseLost("dead")

    run = accept(rig, sink.url, max_retries=0)
    monkeypatch.setattr(runs, "journal", dying)
    with pytest.raises(LeaseLost):
        deliver(rig, run)
    rig.lapse(run)
    deliver(rig, run)
    first, second = sink.received()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert final(rig, run) == {"delivery": "delivered", "attempts": 1}


def test_w6_a_death_after_the_note_does_not_repeat_it(rig, sink, monkeypatch):
    runs = rig.runtime.ledger.runs
    finish = runs.finish

    def dying(*args, **kwargs):
        monkeypatch.setattr(runs, "finish", finish)
        raise LeaseLost("dead")

    run = accept(rig, sink.url)
    monkeypatch.setattr(runs, "finish", dying)
    with pytest.raises(LeaseLost):
        deliver(rig, run)
    rig.lapse(run)
    deliver(rig, run)
    assert len(sink.received()) == 1
    assert rig.runtime.ledger.runs.state(run) is RunState.DONE


def test_w6_workers_that_keep_dying_on_it_make_it_a_dead_letter(rig, sink):
    run = accept(rig, sink.url)
    rig.redis.hset(f"uw:{{{run}}}:meta", "attempts", "5")
    deliver(rig, run)
    assert sink.received() == []
    assert final(rig, run) == {"delivery": "dead", "attempts": 5}


def test_a_mark_that_fails_changes_nothing(rig, sink):
    organization, row = buffered(rig, sink.url)
    rig.fault("status", "buffer/mark", status=503)
    run = accept(rig, sink.url, buffer_row_ids=[row], organization_id=organization)
    deliver(rig, run)
    assert final(rig, run) == {"delivery": "delivered", "attempts": 1}


@pytest.mark.parametrize(
    "given",
    [{"buffer_row_ids": ["r"]}, {"organization_id": 7}, {"buffer_row_ids": [], "organization_id": 7}],
)
def test_without_rows_or_organization_nothing_is_marked(rig, sink, given):
    deliver(rig, accept(rig, sink.url, **given))
    assert len(sink.received()) == 1
    assert marks(rig, "") == []


@pytest.mark.parametrize("organization", ["org_x", "1.5"])
def test_an_organization_that_is_no_primary_key_is_not_marked(rig, sink, organization):
    run = accept(rig, sink.url, buffer_row_ids=[str(uuid4())], organization_id=organization)
    deliver(rig, run)
    assert final(rig, run) == {"delivery": "delivered", "attempts": 1}


def test_a_flat_payload_is_wrapped_for_the_api_platform(rig, sink):
    run = accept(rig, sink.url, payload={"type": "API", "status": "COMPLETED"}, platform="API")
    deliver(rig, run)
    body = json.loads(sink.received()[0].body)
    assert body["summary"] == {"total": 1, "succeeded": 1, "failed": 0}


def test_a_payload_that_is_no_json_becomes_a_dead_letter(rig, sink):
    run = accept(rig, sink.url, payload={"number": 1.5})
    rig.redis.set(f"uw:{{{run}}}:start", '{"url":"http://x","payload":{"n":1e999}}')
    deliver(rig, run)
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert letter.reason == "not valid JSON"
    assert (sink.received(), final(rig, run)) == ([], {"delivery": "dead"})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_no_json_can_hold_is_a_dead_letter_before_it_is_accepted(rig, value):
    accept(rig, "http://x", payload={"value": value})
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert letter.reason.startswith("payload: ")
    assert rig.starts == []


@pytest.mark.parametrize("url", ["", f"http://x/{SECRET}\n", f"{SECRET}" * 200])
def test_a_message_that_is_no_webhook_is_a_dead_letter_without_its_content(rig, capfd, url):
    organization, row = buffered(rig, "http://x")
    accept(rig, url, buffer_row_ids=[row], organization_id=organization)
    (letter,) = rig.runtime.ledger.dead_letters.newest()
    assert (letter.reason, letter.body, letter.task) == ("url: expected a URL", "", "a task")
    assert marks(rig, "dead-letter") == [200]
    assert SECRET not in "".join(capfd.readouterr())
    assert deliveries(rig, "dead") == 1


def test_rows_that_cannot_be_read_are_not_marked(rig):
    accept(rig, "http://x", payload={}, buffer_row_ids=[3], organization_id=1)
    assert rig.runtime.ledger.dead_letters.newest()[0].reason == "payload: expected a payload"
    assert marks(rig, "") == []


def test_headers_of_the_connection_are_ours():
    forged = {"Webhook-Id": "forged", "webhook-SIGNATURE": "v1,x", "webhook-timestamp": "1", "accept-encoding": "gzip"}
    given = forged | {"Host": "x", "content-length": "5", "X-Key": "k", "content-TYPE": "text/x"}
    assert headers_of(given, "d1") == {"X-Key": "k", "content-TYPE": "text/x", "webhook-id": "d1"}


def test_the_time_of_a_delivery_is_bounded():
    settings = WebhookSettings(timeout_cap=8.0, deadline_seconds=10.0)
    assert [seconds_for(wanted, settings) for wanted in (0, 3, 9, 86_400)] == [8.0, 3, 8.0, 8.0]
