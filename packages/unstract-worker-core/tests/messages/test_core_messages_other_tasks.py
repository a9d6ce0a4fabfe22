"""Schedules, webhooks and result items, as the contract shows them."""

from collections.abc import Callable
from typing import Any

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import FileOutcome, OutcomeKind
from unstract_worker_core.messages import (
    ScheduleMessage,
    WebhookMessage,
    read_schedule,
    read_start,
    read_webhook,
    result_items,
)
from unstract_worker_core.statuses import RunKind

Example = Callable[[str], tuple[list[Any], dict[str, Any]]]

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
API_EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"
ETL_EXECUTION = "2a1f0e9d-8c7b-4a69-9584-736251403f2e"
PIPELINE = "c0ffee00-1111-4222-8333-444455556666"


def test_a_start_of_the_scheduled_task_has_its_fifth_argument() -> None:
    args = ["org_8QpLr2", WORKFLOW, ETL_EXECUTION, {}, True]
    start = read_start(
        args, {"use_file_history": True, "pipeline_id": PIPELINE, "transport": "celery"}, kind=RunKind.ETL
    )

    assert start.scheduled
    assert start.use_file_history


def test_a_schedule(message: Example) -> None:
    assert read_schedule(*message("schedule")) == ScheduleMessage(
        organization_id="org_8QpLr2", pipeline_id=PIPELINE, name="Pipeline job-c0ffee00", workflow_id=WORKFLOW
    )


def test_a_trigger_names_no_workflow_and_the_second_form_uses_other_names() -> None:
    triggered = read_schedule(["", "org_1", "", "", PIPELINE, True, "name"], {})
    second = read_schedule([], {"organization_id": "org_1", "pipeline_id": PIPELINE, "pipeline_name": "name"})

    assert triggered == second == ScheduleMessage("org_1", PIPELINE, "name")


@pytest.mark.parametrize("name", ["two\nlines", 5, None, "\ud800"])
def test_a_pipeline_name_that_is_not_one_line_is_left_out(name: object) -> None:
    assert read_schedule(["", "org_1", "", "", PIPELINE, True, name], {}).name == ""


def test_a_webhook_of_the_buffer(message: Example) -> None:
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


def test_a_webhook_sent_at_once(message: Example) -> None:
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
        ({"buffer_row_ids": ["a b"]}, "buffer_row_ids"),
        ({"organization_id": True}, "organization_id"),
        ({"organization_id": {"id": 7}}, "organization_id"),
    ],
)
def test_a_webhook_that_cannot_be_sent_names_the_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(MessageError) as caught:
        read_webhook([], {"url": "https://x.test", "payload": {"a": 1}} | change)

    assert caught.value.field == field


def test_headers_may_hold_tabs() -> None:
    assert read_webhook(["https://x.test", "text", {"a": "b\tc"}], {}).headers == {"a": "b\tc"}


@pytest.mark.parametrize(
    "read", [read_schedule, read_webhook, lambda args, kwargs: read_start(args, kwargs, kind=RunKind.API)]
)
def test_too_many_arguments_are_refused(read: Callable[..., Any]) -> None:
    with pytest.raises(MessageError, match="arguments"):
        read(["x"] * 11, {})


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(MessageError, match="execution_id: given twice"):
        read_start(["org_1", WORKFLOW, ETL_EXECUTION], {"execution_id": API_EXECUTION}, kind=RunKind.API)


def test_items_of_an_outcome_are_what_the_backend_reads() -> None:
    outcome = FileOutcome(
        number=1, name="a.pdf", kind=OutcomeKind.COMPLETED, file_execution_id="f-1", result={"output": 1},
        metadata={"source_hash": "h"}, copies=("b.pdf",),
    )  # fmt: skip
    items = [item.as_message() for item in result_items(outcome)]

    assert [item["file"] for item in items] == ["a.pdf", "b.pdf"]
    assert items[1] == {
        "file": "b.pdf", "file_execution_id": "f-1", "status": "Success", "result": {"output": 1}, "error": None,
        "metadata": {"source_hash": "h", "source_name": "b.pdf"},
    }  # fmt: skip


@pytest.mark.parametrize(("error", "said"), [("bad", "bad"), (None, "the file failed without a reason")])
def test_whatever_did_not_complete_is_failed_with_a_reason(error: str | None, said: str) -> None:
    outcome = FileOutcome(number=1, name="a", kind=OutcomeKind.SKIPPED, error=error, result={"x": 1})

    (item,) = result_items(outcome)

    assert (item.status, item.error, item.result) == ("Failed", said, None)
