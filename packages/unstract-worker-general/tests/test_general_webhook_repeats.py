"""At least once with a stable id, bounded (W6), and signed again each time (W7)."""

import base64
import hashlib
import hmac
import json

import pytest
from attrs import evolve

from unstract_devstack.sink import Answer, running_sink
from unstract_worker_core.config import Secret
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.statuses import RunKind
from unstract_worker_general.webhooks.client import signature_headers

KEY = bytes(range(32))
SECRET = Secret("whsec_" + base64.b64encode(KEY).decode())
NOW = 1_774_000_000
PAYLOAD = {"type": "API", "status": "COMPLETED", "pipeline_name": "Rechnungen é 漢"}


@pytest.fixture
def sink():
    with running_sink() as handle:
        yield handle


def verified(post, secret, *, now, tolerance=300):
    """The receiver's side, as the specification of Standard Webhooks describes it; nothing of ours."""
    given = post.headers
    if abs(now - int(given["webhook-timestamp"])) > tolerance:
        return False
    prefix, _, encoded = secret.partition("_")
    assert prefix == "whsec"
    signed = b".".join((given["webhook-id"].encode(), given["webhook-timestamp"].encode(), post.body))
    expected = base64.b64encode(hmac.digest(base64.b64decode(encoded), signed, hashlib.sha256)).decode()
    versions = [each.split(",", 1) for each in given["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(found, expected) for version, found in versions)


def test_w6_whatever_goes_wrong_the_id_stays_and_the_tries_end(rig, webhooks, sink):
    sink.answer_next(Answer(500), Answer(reset=True), Answer(hang=True), Answer(429))
    run = webhooks.accept(sink.url, max_retries=3, retry_delay=0, timeout=0.3)
    for _ in range(4):
        assert webhooks.deliver(run)
    assert not webhooks.deliver(run)
    assert {post.headers["webhook-id"] for post in sink.received()} == {run.removeprefix("webhook.")}
    assert len(sink.received()) == 4
    assert webhooks.final(run) == {"delivery": "dead", "attempts": 4}
    assert webhooks.letter().reason == "not delivered in 4 tries, last: HTTP 429"
    assert webhooks.letter().task_id == run


def test_w6_an_executions_run_is_not_touched_by_its_notification(rig, webhooks, sink):
    rig.runtime.ledger.runs.accept(
        "an-execution", task=RunTask.EXECUTION, kind=RunKind.ETL, organization_id=rig.organization, start="{}"
    )
    before = rig.meta("an-execution")
    sink.answer = Answer(500)
    webhooks.send(sink.url, payload={**PAYLOAD, "execution_id": "an-execution"})
    assert rig.meta("an-execution") == before
    assert rig.runtime.ledger.runs.state("an-execution") is RunState.ACCEPTED


def test_w7_a_signature_verifies_independently(webhooks, sink):
    webhooks.allow(allowed_networks=("127.0.0.0/8",), signing_secret=SECRET)
    webhooks.client.now = lambda: NOW + 0.9
    run = webhooks.send(sink.url, payload=PAYLOAD, headers={"Webhook-Signature": "v1,forged", "webhook-timestamp": "1"})
    (post,) = sink.received()
    assert json.loads(post.body)["events"][0]["pipeline_name"] == PAYLOAD["pipeline_name"]
    assert post.headers["webhook-id"] == run.removeprefix("webhook.")
    assert post.headers["webhook-timestamp"] == str(NOW)
    assert verified(post, SECRET.reveal(), now=NOW + 300)
    assert not verified(post, SECRET.reveal(), now=NOW + 301)
    assert not verified(post, "whsec_" + base64.b64encode(bytes(32)).decode(), now=NOW)


def test_w7_the_example_of_the_specification():
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    content = b'{"test": 2432232314}'
    headers = signature_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", at=1614265330, content=content)
    assert headers == {
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_w7_what_was_changed_on_the_way_does_not_verify(webhooks, sink, changed):
    webhooks.allow(allowed_networks=("127.0.0.0/8",), signing_secret=SECRET)
    webhooks.client.now = lambda: NOW
    webhooks.send(sink.url, payload=PAYLOAD)
    (post,) = sink.received()
    other = evolve(post, body=post.body + b" ", headers={**post.headers})
    if changed != "body":
        value = post.headers[changed]
        other = evolve(post, headers={**post.headers, changed: value[:-1] + ("1" if value[-1] == "0" else "0")})
    assert verified(post, SECRET.reveal(), now=NOW)
    assert not verified(other, SECRET.reveal(), now=NOW)


def test_w7_a_repeated_try_has_the_same_id_and_a_time_of_its_own(webhooks, sink):
    webhooks.allow(allowed_networks=("127.0.0.0/8",), signing_secret=SECRET)
    sink.answer_next(Answer(500))
    run = webhooks.accept(sink.url, payload=PAYLOAD, max_retries=1, retry_delay=0)
    for seconds in (0, 600):
        webhooks.client.now = lambda at=NOW + seconds: at
        assert webhooks.deliver(run)
    first, second = sink.received()
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert verified(second, SECRET.reveal(), now=NOW + 600)


def test_w7_without_a_secret_nothing_is_signed(webhooks, sink):
    webhooks.send(sink.url, headers={"webhook-signature": "v1,forged"})
    (post,) = sink.received()
    assert "webhook-signature" not in post.headers
    assert "webhook-timestamp" not in post.headers
