"""Starts of the scheduled task, and result items, as the contract shows them."""

import pytest

from unstract_worker_core.api_results import result_items
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import FileOutcome, OutcomeKind
from unstract_worker_core.messages.start import read_start
from unstract_worker_core.statuses import RunKind

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


def test_too_many_arguments_are_refused() -> None:
    with pytest.raises(MessageError, match="arguments"):
        read_start(["x"] * 11, {}, kind=RunKind.API)


def test_an_argument_given_twice_is_refused() -> None:
    with pytest.raises(MessageError, match="execution_id: given both"):
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
