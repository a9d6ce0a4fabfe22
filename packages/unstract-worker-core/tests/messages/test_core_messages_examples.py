"""The contract's examples are read into the models that the steps work with, and survive the ledger."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import FileItem, RunContext
from unstract_worker_core.messages.batch import BatchResult, read_batch, read_results
from unstract_worker_core.messages.start import StartMessage, read_start
from unstract_worker_core.statuses import RunKind

Example = Callable[[str], tuple[list[Any], dict[str, Any]]]

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
API_EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"
ETL_EXECUTION = "2a1f0e9d-8c7b-4a69-9584-736251403f2e"
PIPELINE = "c0ffee00-1111-4222-8333-444455556666"


def test_an_api_start_with_uuid_objects(message: Example) -> None:
    start = read_start(*message("api_start"), kind=RunKind.API)

    assert start == StartMessage(
        organization_id="org_8QpLr2",
        workflow_id=WORKFLOW,
        execution_id=API_EXECUTION,
        kind=RunKind.API,
        files=(
            FileItem(
                number=1,
                name="invoice-17.pdf",
                path="unstract/api/org_8QpLr2/wf/ex/invoice-17.pdf",
                hash="9f2c6d3b0a4e4f1c8d7b6a5948372615f0e1d2c3b4a5968778695a4b3c2d1e0f",
                size=48211,
                mime_type="application/pdf",
                source_connection_type="API",
            ),
        ),
        pipeline_id="51c2a8f7-e2d9-4b3c-9d1a-6e5f4a3b2c1d",
    )
    assert serialization.decode(serialization.encode(start), StartMessage) == start


def test_an_etl_start(message: Example) -> None:
    start = read_start(*message("etl_start"), kind=RunKind.ETL)

    assert (start.execution_id, start.pipeline_id, start.log_events_id) == (
        ETL_EXECUTION,
        PIPELINE,
        "sess-91ab",
    )
    assert (start.files, start.use_file_history, start.refused) == ((), True, None)


@pytest.mark.parametrize(("kind", "history"), [(RunKind.API, False), (RunKind.ETL, True)])
def test_file_history_defaults_as_the_consumer_signatures_do(kind: RunKind, history: bool) -> None:
    start = read_start(["org_1", WORKFLOW, ETL_EXECUTION, {}], {}, kind=kind)

    assert start.use_file_history is history


def test_positions_differ_between_the_two_orchestrators() -> None:
    head = ["org_1", WORKFLOW, ETL_EXECUTION, {}, False, None, UUID(PIPELINE)]

    assert read_start([*head, "sess", True], {}, kind=RunKind.API).log_events_id == "sess"
    assert read_start([*head, False], {}, kind=RunKind.ETL).use_file_history is False


def test_optional_fields_of_a_start() -> None:
    given = {
        "llm_profile_id": UUID(PIPELINE), "hitl_queue_name": "queue", "hitl_packet_id": "",
        "custom_data": {"id": UUID(PIPELINE), "rows": (1, 2.5, None, True)}, "pipeline_id": "None",
    }  # fmt: skip
    start = read_start(["org_1", WORKFLOW, ETL_EXECUTION, None], given, kind=RunKind.API)

    assert (start.llm_profile_id, start.hitl_queue_name, start.hitl_packet_id) == (PIPELINE, "queue", None)
    assert start.custom_data == {"id": PIPELINE, "rows": [1, 2.5, None, True]}
    assert start.pipeline_id is None


def test_a_chords_batch(message: Example) -> None:
    (value,), _ = message("batch")
    batch = read_batch(value)

    assert batch.files == (
        FileItem(
            number=1, name="a.pdf", path="inbox/a.pdf", size=1204, provider_file_uuid="etag-77ab",
            source_connection_type="FILESYSTEM", fs_metadata={"size": 1204},
        ),
    )  # fmt: skip
    assert batch.context == RunContext(
        execution_id=ETL_EXECUTION, organization_id="org_8QpLr2", workflow_id=WORKFLOW, kind=RunKind.ETL,
        pipeline_id=PIPELINE, total_files=1, chord=True,
    )  # fmt: skip


def test_a_chords_batch_of_an_api_run_with_plain_files_and_the_text_none(message: Example) -> None:
    (value,), _ = message("batch")
    value["files"] = [{"file_name": "b.pdf", "file_path": "unstract/api/b.pdf", "source_connection_type": "API"}]
    value["file_data"] |= {"pipeline_id": "None", "tags": [{"name": "t"}, "u"], "custom_data": {"a": 1}}

    batch = read_batch(value)

    assert (batch.context.kind, batch.context.pipeline_id) == (RunKind.API, None)
    assert (batch.context.tags, batch.context.custom_data) == (({"name": "t"}, "u"), {"a": 1})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"files": None}, "files"),
        ({"files": [[]] * 100_001}, "files"),
        ({"file_data": None}, "file_data"),
        ({"file_data": {"workflow_id": WORKFLOW}}, "execution_id"),
    ],
)
def test_a_batch_that_cannot_be_read_names_the_field(message: Example, change: dict[str, Any], field: str) -> None:
    (value,), _ = message("batch")

    with pytest.raises(MessageError, match=field):
        read_batch(value | change)


@pytest.mark.parametrize("name", ["single_step", "scheduled", "use_file_history", "q_file_no_list"])
def test_strict_fields_of_a_batch_are_strict(message: Example, name: str) -> None:
    (value,), _ = message("batch")
    value["file_data"][name] = "true"

    with pytest.raises(MessageError, match=name):
        read_batch(value)


def test_a_batch_that_is_no_object_is_refused() -> None:
    with pytest.raises(MessageError, match="file_batch_data"):
        read_batch([])


def test_results_of_a_chord(message: Example) -> None:
    (value,), _ = message("callback")

    (result,) = read_results([*value, "not an object", None])

    assert result == BatchResult(
        total_files=2, successful_files=1, failed_files=1, execution_time=20.4, organization_id="org_8QpLr2"
    )
    assert result.as_message() == value[0]
    assert serialization.decode(serialization.encode(result), BatchResult) == result


def test_nulls_in_a_result_mean_the_default() -> None:
    assert read_results([{"total_files": None, "batch_id": "x"}]) == (BatchResult(),)


def test_a_field_that_cannot_be_read_hides_neither_its_batch_nor_the_others() -> None:
    good = {"total_files": 2, "successful_files": 2}
    bad = {"execution_time": float("nan"), "file_results": ["\ud800"], "organization_id": 7}

    assert read_results([good, {**good, **bad}, good]) == (BatchResult(2, 2),) * 3


@pytest.mark.parametrize("value", [None, "text", b"bytes", {}, 5])
def test_results_that_are_no_list_are_refused(value: object) -> None:
    with pytest.raises(MessageError, match="results"):
        read_results(value)
