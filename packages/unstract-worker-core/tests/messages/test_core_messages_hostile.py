"""Malformed, mutated and hostile messages: read or refused with MessageError, never anything else."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kombu.utils.json import loads
from redis import Redis

from unstract_devstack.hostile_messages import mutated, texts, values
from unstract_worker_core import serialization
from unstract_worker_core.doorbells import read_batch_doorbell, read_run_doorbell
from unstract_worker_core.errors import MessageError
from unstract_worker_core.messages.batch import read_batch, read_results
from unstract_worker_core.messages.fields import plain
from unstract_worker_core.messages.start import StartMessage, file_item, read_start, safe_path
from unstract_worker_core.statuses import RunKind

WORKFLOW = "0b6f2f6e-0f5d-4d0d-9a4f-5c8f7c1f2a11"
EXECUTION = "7d3f5a0c-2f0b-4a6f-b1b7-c8b9a0e1d2c3"

READERS: dict[str, Callable[[list[Any], dict[str, Any]], Any]] = {
    "api_start": lambda args, kwargs: read_start(args, kwargs, kind=RunKind.API),
    "etl_start": lambda args, kwargs: read_start(args, kwargs, kind=RunKind.ETL),
    "batch": lambda args, kwargs: read_batch(args[0] if args else None),
    "callback": lambda args, kwargs: read_results(args[0] if args else None),
}

names = st.sampled_from(
    ["schema_name", "workflow_id", "execution_id", "hash_values_of_files", "url", "payload", "headers", "org_schema",
     "pipepline_id", "pipeline_id", "custom_data", "buffer_row_ids", "organization_id", "platform", "run_id", "epoch",
     "batch", "schema", "files", "file_data"]
)  # fmt: skip
ids = st.sampled_from([WORKFLOW, EXECUTION, "org_1"])


def stored(read: Callable[[], Any]) -> None:
    """What can be read can be stored as JSON text; what cannot be read says so."""
    try:
        found = read()
    except MessageError:
        return
    for entry in found if isinstance(found, tuple) else (found,):
        serialization.encode(entry).encode()


@settings(max_examples=300, deadline=None)
@given(args=st.lists(ids | values, max_size=8), kwargs=st.dictionaries(names | texts, ids | values, max_size=8))
def test_any_arguments_are_read_or_refused(args: list[Any], kwargs: dict[str, Any]) -> None:
    for read in READERS.values():
        stored(lambda read=read: read(args, kwargs))
    for bell in (read_run_doorbell, read_batch_doorbell):
        stored(lambda bell=bell: bell(kwargs) or ())


@settings(max_examples=300, deadline=None)
@given(
    value=values,
    key=st.sampled_from(["file_name", "file_path", "file_hash", "file_size", "fs_metadata", "is_executed"]),
)
def test_any_file_is_read_or_refused(value: Any, key: str) -> None:
    item = file_item({"file_name": "a", "file_path": "b"} | {key: value}, number=1, name="key")
    serialization.encode(item).encode()
    assert safe_path(item.name, field="name") == item.name
    assert safe_path(item.path, field="path") == item.path


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_messages_are_read_or_refused(raw_messages: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(raw_messages)))
    body = mutated(data, raw_messages[name])
    try:
        decoded = loads(body.decode("utf-8", "surrogatepass"))
        args, kwargs = list(decoded["args"]), dict(decoded["kwargs"])
    except Exception:  # noqa: BLE001 - kombu's own refusal: no task ever sees such a body
        return
    stored(lambda: READERS[name](args, kwargs))


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=40) | st.binary(max_size=40))
def test_any_text_is_json_or_refused(text: str | bytes) -> None:
    try:
        found = serialization.loads(text)
    except MessageError:
        return
    assert serialization.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e999",
        "-1e400",
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5000,
        "",
    ],
)
def test_json_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(MessageError):
        serialization.loads(text)


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        (10**400, "too large"),
        ("\ud800", "not Unicode"),
        ({"\udfff": 1}, "not Unicode"),
        ({1: "a"}, "a key that is not text"),
        (b"bytes", "bytes is not JSON"),
        ({1, 2}, "set is not JSON"),
        (nested(65), "too deeply"),
        (nested(100_000), "too deeply"),
        ("x" * (9 * 2**20), "too large"),
        ({str(key): None for key in range(1_000_000)}, "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "value",
)
def test_what_cannot_be_stored_is_refused(value: object, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        plain(value, field="custom_data")
    start = read_start(["org_1", WORKFLOW, EXECUTION, {}], {"custom_data": {"a": value}}, kind=RunKind.API)
    assert start.refused is not None
    assert reason in start.refused


def test_what_can_be_stored_survives_the_ledger(redis: Redis) -> None:
    data = {
        "deep": nested(60),
        "wide": {str(key): key for key in range(50_000)},
        "text": "\U0001f4c4 ü\u2028",
        "big": 2**70,
    }
    start = read_start(["org_1", WORKFLOW, EXECUTION, {}], {"custom_data": data}, kind=RunKind.API)
    redis.set("start", serialization.encode(start))

    assert serialization.decode(redis.get("start"), StartMessage) == start
    assert start.custom_data == data


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scheduled": "no"}, "scheduled"),
        ({"use_file_history": 1}, "use_file_history"),
        ({"custom_data": []}, "custom_data"),
        ({"pipeline_id": "../x"}, "pipeline_id"),
        ({"log_events_id": "a\nb"}, "log_events_id"),
        ({"llm_profile_id": nested(100_000)}, "llm_profile_id"),
    ],
)
def test_other_fields_that_cannot_be_read_end_the_execution_too(change: dict[str, Any], field: str) -> None:
    start = read_start(["org_1", WORKFLOW, EXECUTION, {}], change, kind=RunKind.ETL)

    assert start.refused is not None
    assert field in start.refused


@pytest.mark.parametrize("extra", [{"surprise": 1}, {"nested": {"deep": [1, 2]}}])
def test_unknown_fields_are_ignored(extra: dict[str, Any]) -> None:
    args = ["org_1", WORKFLOW, EXECUTION, {"a": {"file_name": "a", "file_path": "b"} | extra}]

    assert read_start(args, extra, kind=RunKind.API) == read_start(
        ["org_1", WORKFLOW, EXECUTION, {"a": {"file_name": "a", "file_path": "b"}}], {}, kind=RunKind.API
    )


def test_a_json_body_of_half_a_surrogate_pair_is_refused_at_the_edge() -> None:
    body = json.loads('{"a": {"file_name": "\\ud83d.pdf", "file_path": "b"}}')

    start = read_start(["org_1", WORKFLOW, EXECUTION, body], {}, kind=RunKind.API)

    assert start.refused is None
    assert start.files[0].refused == "the file's description cannot be used: file_name: text that is not Unicode"
    assert serialization.encode(start).encode()
