"""Files in messages: what is refused, what people's names look like, and credentials that never survive."""

import json
from typing import Any

import pytest
from kombu.message import Message
from kombu.serialization import loads

from unstract_worker_core import serialization
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.messages.batch import read_batch
from unstract_worker_core.messages.start import file_item, read_start, safe_path
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.rejected_messages import rejection_reason

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"


@pytest.mark.parametrize("count", [100_001, 1_000_000])
def test_a_message_with_endless_files_is_refused(count: int) -> None:
    files = dict.fromkeys(map(str, range(count)))

    start = read_start(["org_1", WORKFLOW, EXECUTION, files], {}, kind=RunKind.API)

    assert start.refused == "start message refused: hash_values_of_files: more than 100000 files"


@pytest.mark.parametrize("files", ["text", [{"file_name": "a"}]])
def test_files_that_are_no_object_end_the_execution(files: object) -> None:
    start = read_start(["org_1", WORKFLOW, EXECUTION, files], {}, kind=RunKind.API)

    assert (start.execution_id, start.files) == (EXECUTION, ())
    assert start.refused == "start message refused: hash_values_of_files: expected object"


GOOD = {"file_name": "good.pdf", "file_path": "in/good.pdf", "file_hash": "ab"}
BAD_ENTRIES = [
    (None, "file: expected object, got NoneType"),
    ("text", "file: expected object, got str"),
    ({"file_name": "a"}, "file_path"),
    ({"file_name": 5, "file_path": "b"}, "file_name: expected str, got int"),
    ({"file_name": "a", "file_path": "b", "file_size": "12"}, "file_size"),
    ({"file_name": "a", "file_path": "b", "file_size": -1}, "file_size: not a size"),
    ({"file_name": "a", "file_path": "b", "file_size": 2**63}, "file_size: not a size"),
    ({"file_name": "a", "file_path": "b", "file_size": float("nan")}, "file_size: a number that is not finite"),
    ({"file_name": "a", "file_path": "b", "file_hash": "a\nb"}, "file_hash: not a short printable text"),
    ({"file_name": "a", "file_path": "b", "mime_type": "x" * 513}, "mime_type: not a short printable text"),
    ({"file_name": "a", "file_path": "b", "is_executed": "yes"}, "is_executed"),
    ({"file_name": "a", "file_path": "b", "fs_metadata": [1]}, "fs_metadata"),
    ({"file_name": "a", "file_path": "b", "fs_metadata": {"k": float("inf")}}, "fs_metadata"),
    ({"file_name": "a\u2028b", "file_path": "b"}, "file_name: a line break"),
    ({"file_name": "\ud83d.pdf", "file_path": "b"}, "file_name: text that is not Unicode"),
    ({"file_name": "a", "file_path": "../b"}, "file_path: the path leaves its folder"),
    ({"file_name": "x" * 5000, "file_path": "b"}, "file_name: longer than 4096"),
]


@pytest.mark.parametrize(("entry", "reason"), BAD_ENTRIES)
def test_a_file_that_cannot_be_read_is_refused_by_itself(entry: object, reason: str) -> None:
    """Of a start message and of a chord's batch; its siblings are read, each has its own number and hash."""
    files = {"first": GOOD, "second": entry, "third": entry, "last": GOOD}
    start = read_start(["org_1", WORKFLOW, EXECUTION, files], {}, kind=RunKind.API)
    data = {"workflow_id": WORKFLOW, "execution_id": EXECUTION, "organization_id": "org_1"}
    batch = read_batch({"files": [list(pair) for pair in files.items()], "file_data": data})

    assert start.refused is None
    for items in (start.files, batch.files):
        assert [item.number for item in items] == [1, 2, 3, 4]
        assert [item.refused is None for item in items] == [True, False, False, True]
        assert (items[0].name, items[0].hash, items[3].path) == ("good.pdf", "ab", "in/good.pdf")
        for item in items[1:3]:
            assert item.refused is not None
            assert item.refused.startswith(f"the file's description cannot be used: {reason}")
            assert item.unsupported, "a worker that does not know the field executes it neither"
            assert serialization.decode(serialization.encode(item), FileItem) == item
        assert items[1].hash != items[2].hash, "it is equal to no other upload"


@pytest.mark.parametrize(
    "written",
    [b'"\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"-" + b"9" * 5000],
)
def test_a_body_that_is_no_strict_json_costs_only_the_file_that_it_is_not_for(written: bytes) -> None:
    """As the worker reads it off the broker: the start message and a chord's batch, in kombu's own envelope."""
    files = {"first": GOOD, "second": {**GOOD, "file_size": "LOOSE", "file_name": "LOOSE"}, "last": GOOD}
    data = {"workflow_id": WORKFLOW, "execution_id": EXECUTION, "organization_id": "org_1"}

    def received(args: list[object]) -> list[Any]:
        body = json.dumps([args, {}, {}]).encode().replace(b'"LOOSE"', written)
        message = Message(
            body=body, content_type="application/json", content_encoding="utf-8", headers={"task": "t", "id": "i"}
        )
        assert rejection_reason(message) is None
        # Celery decodes the body again.
        found = loads(message.body, "application/json", "utf-8", accept={"application/json"})
        return list(found[0])

    start = read_start(received(["org_1", WORKFLOW, EXECUTION, files]), {}, kind=RunKind.API)
    batch = read_batch(received([{"files": [list(pair) for pair in files.items()], "file_data": data}])[0])

    for items in (start.files, batch.files):
        assert [item.refused is None for item in items] == [True, False, True]
        serialization.encode(items[1]).encode()


def test_what_is_shown_of_a_refused_file_is_safe_and_tells_it_from_others() -> None:
    def shown(entry: object) -> tuple[str, str]:
        item = file_item(entry, number=1, name="from the key")
        assert item.refused
        return item.name, item.path

    assert shown(7) == ("from the key", "from the key")
    assert shown({"file_path": "in/a"}) == ("from the key", "in/a")
    assert shown({"file_name": "a\u2028\ud83d.pdf", "file_path": "b"}) == ("a%E2%80%A8%ED%A0%BD.pdf", "b")
    assert shown({"file_name": "ä 5%.pdf", "file_path": "../../ä"}) == ("ä 5%.pdf", "%2E%2E/%2E%2E/ä")
    assert shown({"file_name": "a", "file_path": "\u2025/\uff0e./b"}) == ("a", "%E2%80%A5/%EF%BC%8E./b")
    first, second = (shown({"file_name": "n" * 5000 + end, "file_path": "b"})[0] for end in "12")
    assert len(first) < 255
    assert first != second
    assert file_item({}, number=1, name="").name == "unnamed"


@pytest.mark.parametrize("name", ["file_name", "file_path"])
@pytest.mark.parametrize(
    "path",
    ["..", "../etc/passwd", "a/../../b", "a\\..\\b", "a/..", "\uff0e\uff0e/b", "\u2025/b", "a\uff0f..\uff0fb",
     "a\nb", "a\rb", "a\x00b", "a\x7fb", "a\x85b", "a\u2028b", "a\ud800b", "x" * 4097],
)  # fmt: skip
def test_paths_that_leave_their_folder_or_their_line_are_refused(name: str, path: str) -> None:
    item = file_item({"file_name": "a", "file_path": "b"} | {name: path}, number=1, name="key")

    assert item.refused is not None
    assert f" {name}: " in item.refused
    for shown in (item.name, item.path):
        assert safe_path(shown, field="shown") == shown


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
    item = file_item({"file_name": path, "file_path": path}, number=1, name="key")

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


def test_a_refusal_names_the_field_and_never_the_value() -> None:
    item = file_item({"file_name": "a", "file_path": ["s3cr3t @ here"]}, number=1, name="key")

    assert item.refused is not None
    assert "file_path" in item.refused
    assert "s3cr3t" not in serialization.encode(item)
