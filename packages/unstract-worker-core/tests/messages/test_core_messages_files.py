"""Files in messages: what is refused, what people's names look like, and credentials that never survive."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.messages import (
    read_batch,
    read_results,
    read_schedule,
    read_start,
    read_webhook,
)
from unstract_worker_core.messages.files import file_item
from unstract_worker_core.statuses import RunKind

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"

READERS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "api_start": lambda args, kwargs: read_start(args, kwargs, kind=RunKind.API),
    "etl_start": lambda args, kwargs: read_start(args, kwargs, kind=RunKind.ETL),
    "batch": lambda args, kwargs: read_batch(args[0] if args else None),
    "callback": lambda args, kwargs: read_results(args[0] if args else None),
    "schedule": read_schedule,
    "buffer_webhook": read_webhook,
    "sent_webhook": read_webhook,
}

# Text with half surrogate pairs, numbers without end or meaning: all that a JSON parser may hand us.
texts = st.text(st.characters(exclude_categories=()), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.uuids() | st.binary(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)
names = st.sampled_from(
    ["schema_name", "workflow_id", "execution_id", "hash_values_of_files", "url", "payload", "headers", "org_schema",
     "pipepline_id", "pipeline_id", "custom_data", "buffer_row_ids", "organization_id", "platform", "run_id", "epoch",
     "batch", "schema", "files", "file_data"]
)  # fmt: skip
ids = st.sampled_from([WORKFLOW, EXECUTION, "org_1"])


@pytest.mark.parametrize("count", [100_001, 1_000_000])
def test_a_message_with_endless_files_is_refused(count: int) -> None:
    files = dict.fromkeys(map(str, range(count)))

    start = read_start(["org_1", WORKFLOW, EXECUTION, files], {}, kind=RunKind.API)

    assert start.refused == "start message refused: hash_values_of_files: more than 100000 files"


@pytest.mark.parametrize(
    ("files", "field"),
    [
        ("text", "hash_values_of_files"),
        ([{"file_name": "a"}], "hash_values_of_files"),
        ({"a": None}, "hash_values_of_files[0]"),
        ({"a": {"file_name": "a"}}, "file_path"),
        ({"a": {"file_name": 5, "file_path": "b"}}, "file_name"),
        ({"a": {"file_name": "a", "file_path": "b", "file_size": "12"}}, "file_size"),
        ({"a": {"file_name": "a", "file_path": "b", "file_size": -1}}, "file_size"),
        ({"a": {"file_name": "a", "file_path": "b", "file_size": 2**63}}, "file_size"),
        ({"a": {"file_name": "a", "file_path": "b", "file_hash": "a\nb"}}, "file_hash"),
        ({"a": {"file_name": "a", "file_path": "b", "mime_type": "x" * 513}}, "mime_type"),
        ({"a": {"file_name": "a", "file_path": "b", "is_executed": "yes"}}, "is_executed"),
        ({"a": {"file_name": "a", "file_path": "b", "fs_metadata": [1]}}, "fs_metadata"),
    ],
)
def test_files_that_cannot_be_read_end_the_execution_and_name_the_field(files: object, field: str) -> None:
    start = read_start(["org_1", WORKFLOW, EXECUTION, files], {}, kind=RunKind.API)

    assert (start.execution_id, start.files) == (EXECUTION, ())
    assert start.refused is not None
    assert field in start.refused


@pytest.mark.parametrize("name", ["file_name", "file_path"])
@pytest.mark.parametrize(
    "path",
    ["", "..", "../etc/passwd", "a/../../b", "a\\..\\b", "a/..", "\uff0e\uff0e/b", "\u2025/b", "a\uff0f..\uff0fb",
     "a\nb", "a\rb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "a\ud800b", "x" * 4097],
)  # fmt: skip
def test_paths_that_leave_their_folder_or_their_line_are_refused(name: str, path: str) -> None:
    with pytest.raises(MessageError, match=name):
        file_item({"file_name": "a", "file_path": "b"} | {name: path}, number=1, field="file")


@pytest.mark.parametrize(
    "path",
    [
        "a..b/c...d",
        "Bildschirmfoto 2024\u202fAM.png",
        "\u5831\u544a\u3000\u66f8.pdf",
        "\U0001f468\u200d\U0001f469.pdf",
        "a b/c",
        "x" * 4096,
    ],
)
def test_names_that_people_use_are_taken(path: str) -> None:
    item = file_item({"file_name": path, "file_path": path}, number=1, field="file")

    assert (item.name, item.path) == (path, path)


def test_connector_metadata_never_survives() -> None:
    file = {"file_name": "a", "file_path": "b", "connector_metadata": {"token": "s3cr3t", "bad": {1, 2}}}
    start = read_start(["org_1", WORKFLOW, EXECUTION, {"a": file}], {}, kind=RunKind.API)
    data = {
        "workflow_id": WORKFLOW,
        "execution_id": EXECUTION,
        "organization_id": "org_1",
        "source_config": file,
    }
    batch = read_batch({"files": [["a", file]], "file_data": data})

    for text in (serialization.encode(start), serialization.encode(batch), repr(start), repr(batch)):
        assert "connector_metadata" not in text
        assert "s3cr3t" not in text
    assert start.refused is None
    assert len(batch.files) == 1


def test_an_error_names_the_path_and_never_the_value() -> None:
    file = {"file_name": "a", "file_path": ["s3cr3t @ here"]}

    with pytest.raises(MessageError) as caught:
        file_item(file, number=1, field="file")

    assert "s3cr3t" not in str(caught.value)
    assert "file_path" in caught.value.field
