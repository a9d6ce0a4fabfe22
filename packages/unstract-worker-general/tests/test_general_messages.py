"""Messages of schedules and webhooks as the contract shows them; hostile ones are read or refused, nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kombu.utils.json import loads

from unstract_devstack.hostile_messages import mutated, texts, values
from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_general.schedule import ScheduleMessage, read_schedule
from unstract_worker_general.webhooks.message import WebhookMessage, read_webhook

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
PIPELINE = "c0ffee00-1111-4222-8333-444455556666"

SCHEDULE = """{"task":"scheduler.tasks.execute_pipeline_task","args":["0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11",
 "org_8QpLr2","","","c0ffee00-1111-4222-8333-444455556666",false,"Pipeline job-c0ffee00"],"kwargs":{}}"""

BUFFER_WEBHOOK = """{"task":"send_webhook_notification",
 "args":["https://hooks.example.test/x",{"text":"*1 execution* (:white_check_mark: 1 succeeded)"},
 {"Content-Type":"application/json","Authorization":"Bearer s3cr3t"},5],
 "kwargs":{"max_retries":2,"retry_delay":10,"platform":"SLACK","raise_on_final_failure":true,
 "buffer_row_ids":["4c7a3c1e-6b6a-4e0a-9f43-6a5d8a2b1c0d"],"organization_id":7}}"""

SENT_WEBHOOK = """{"task":"send_webhook_notification",
 "args":["https://api.example.test/hook",{"type":"API","status":"COMPLETED"},
 {"Content-Type":"application/json"},30],"kwargs":{"max_retries":3,"retry_delay":60}}"""

MESSAGES = {"schedule": SCHEDULE, "buffer_webhook": BUFFER_WEBHOOK, "sent_webhook": SENT_WEBHOOK}
READERS = {"schedule": read_schedule, "buffer_webhook": read_webhook, "sent_webhook": read_webhook}

names = st.sampled_from(
    ["workflow_id", "execution_id", "url", "payload", "headers", "org_schema", "pipepline_id", "pipeline_id",
     "buffer_row_ids", "organization_id", "platform", "timeout", "max_retries"]
)  # fmt: skip
ids = st.sampled_from([WORKFLOW, PIPELINE, "org_1"])
stored_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
stored_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | stored_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(stored_texts, inner, max_size=4),
    max_leaves=10,
)
webhooks = st.builds(
    WebhookMessage, url=stored_texts, payload=stored_values,
    headers=st.dictionaries(stored_texts, stored_texts, max_size=3), timeout=st.floats(0, 86400),
    max_retries=st.integers(0, 2**63), platform=st.none() | stored_texts,
    buffer_row_ids=st.lists(stored_texts, max_size=3).map(tuple), organization_id=st.none() | stored_texts,
)  # fmt: skip


@pytest.fixture
def message():
    """Positional and keyword arguments of a contract example, as kombu decodes them."""

    def read(name):
        decoded = loads(MESSAGES[name])
        return decoded["args"], decoded["kwargs"]

    return read


def assert_stored_or_refused(read, args, kwargs):
    """A message that can be read can be stored as JSON; one that cannot be read raises MessageError."""
    try:
        found = read(args, kwargs)
    except MessageError:
        return
    serialization.encode(found).encode()


def test_a_schedule(message):
    assert read_schedule(*message("schedule")) == ScheduleMessage(
        organization_id="org_8QpLr2", pipeline_id=PIPELINE, name="Pipeline job-c0ffee00", workflow_id=WORKFLOW
    )


def test_a_trigger_names_no_workflow_and_the_second_form_uses_other_names():
    triggered = read_schedule(["", "org_1", "", "", PIPELINE, True, "name"], {})
    second = read_schedule([], {"organization_id": "org_1", "pipeline_id": PIPELINE, "pipeline_name": "name"})

    assert triggered == second == ScheduleMessage("org_1", PIPELINE, "name")


@pytest.mark.parametrize("name", ["two\nlines", 5, None, "\ud800"])
def test_a_pipeline_name_that_is_not_one_line_is_left_out(name):
    assert read_schedule(["", "org_1", "", "", PIPELINE, True, name], {}).name == ""


def test_a_webhook_of_the_buffer(message):
    webhook = read_webhook(*message("buffer_webhook"))

    assert webhook == WebhookMessage(
        url="https://hooks.example.test/x",
        payload={"text": "*1 execution* (:white_check_mark: 1 succeeded)"},
        headers={"Content-Type": "application/json", "Authorization": "Bearer s3cr3t"},
        timeout=5.0,
        max_retries=2,
        platform="SLACK",
        buffer_row_ids=("4c7a3c1e-6b6a-4e0a-9f43-6a5d8a2b1c0d",),
        organization_id="7",
    )
    assert "s3cr3t" not in repr(webhook)
    assert serialization.decode(serialization.encode(webhook), WebhookMessage) == webhook


def test_a_webhook_sent_at_once(message):
    webhook = read_webhook(*message("sent_webhook"))

    assert (webhook.max_retries, webhook.retry_delay, webhook.platform) == (3, 60.0, None)
    assert (webhook.organization_id, webhook.buffer_row_ids) == (None, ())


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": ""}, "url"),
        ({"url": "https://x/\r\nHost: y"}, "url"),
        ({"url": "https://" + "x" * 2048}, "url"),
        ({"payload": {}}, "payload"),
        ({"payload": {"a": float("nan")}}, "payload"),
        ({"headers": [["a", "b"]]}, "headers"),
        ({"headers": {"a": 5}}, "headers"),
        ({"headers": {"a": "b\r\nc: d"}}, "headers"),
        ({"headers": {"a\x00": "b"}}, "headers"),
        ({"headers": {"a": "\udc80"}}, "headers"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": 10**400}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"max_retries": "3"}, "max_retries"),
        ({"retry_delay": 86_401}, "retry_delay"),
        ({"platform": ["SLACK"]}, "platform"),
        ({"buffer_row_ids": "abc"}, "buffer_row_ids"),
        ({"organization_id": True}, "organization_id"),
        ({"organization_id": {"id": 7}}, "organization_id"),
    ],
)
def test_a_webhook_that_cannot_be_sent_names_the_field(change, field):
    with pytest.raises(MessageError) as caught:
        read_webhook([], {"url": "https://x.test", "payload": {"a": 1}} | change)

    assert caught.value.field == field


def test_a_row_id_that_cannot_be_read_keeps_neither_the_webhook_nor_the_other_rows():
    rows = [WORKFLOW, "a b", 7, "\ud800", "row-1", PIPELINE]
    message = read_webhook(["https://x.test", "text"], {"buffer_row_ids": rows})

    assert message.buffer_row_ids == (WORKFLOW, PIPELINE)


def test_headers_may_hold_tabs():
    assert read_webhook(["https://x.test", "text", {"a": "b\tc"}], {}).headers == {"a": "b\tc"}


@pytest.mark.parametrize("read", [read_schedule, read_webhook])
def test_too_many_arguments_are_refused(read):
    with pytest.raises(MessageError, match="arguments"):
        read(["x"] * 11, {})


@settings(max_examples=300, deadline=None)
@given(args=st.lists(ids | values, max_size=8), kwargs=st.dictionaries(names | texts, ids | values, max_size=8))
def test_any_arguments_are_read_or_refused(args, kwargs):
    for read in (read_schedule, read_webhook):
        assert_stored_or_refused(read, args, kwargs)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_mutated_messages_are_read_or_refused(data):
    name = data.draw(st.sampled_from(sorted(MESSAGES)))
    body = mutated(data, MESSAGES[name].encode())
    try:
        decoded = loads(body.decode("utf-8", "surrogatepass"))
        args, kwargs = list(decoded["args"]), dict(decoded["kwargs"])
    except Exception:  # noqa: BLE001 - kombu's own refusal: no task ever sees such a body
        return
    assert_stored_or_refused(READERS[name], args, kwargs)


@given(webhooks)
def test_a_stored_webhook_is_read_back(webhook):
    assert serialization.decode(serialization.encode(webhook), WebhookMessage) == webhook
