"""The one converter: what is written is read back, what is read is strict, errors name the path."""

from typing import Any

import pytest
from attrs import Factory, frozen
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import FileItem, FileOutcome, FinalState, OutcomeKind, RunContext
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.statuses import ExecutionStatus, RunKind

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(min_value=0, max_value=2**63)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(texts, json_values, max_size=4)
names = st.lists(texts, max_size=3).map(tuple)
maybe = st.none() | texts

items = st.builds(
    FileItem, number=numbers, name=texts, path=texts, hash=texts, size=numbers, mime_type=texts,
    provider_file_uuid=maybe, source_connection_type=texts, is_executed=st.booleans(), file_execution_id=maybe,
    fs_metadata=objects, copies=names,
)  # fmt: skip
contexts = st.builds(
    RunContext, execution_id=texts, organization_id=texts, workflow_id=texts, kind=st.sampled_from(RunKind),
    pipeline_id=maybe, use_file_history=st.booleans(), total_files=numbers, error=maybe, stopped=st.booleans(),
    custom_data=st.none() | objects, tags=st.lists(json_values, max_size=3).map(tuple),
)  # fmt: skip
outcomes = st.builds(
    FileOutcome, number=numbers, name=texts, kind=st.sampled_from(OutcomeKind), error=maybe, result=json_values,
    metadata=objects, seconds=st.floats(min_value=0, max_value=1e9), copies=names,
)  # fmt: skip
finals = st.builds(
    FinalState,
    status=st.none() | st.sampled_from(ExecutionStatus),
    total_files=numbers,
    error=maybe,
    detail=objects,
)
starts = st.builds(
    StartMessage, organization_id=texts, workflow_id=texts, execution_id=texts, kind=st.sampled_from(RunKind),
    files=st.lists(items, max_size=3).map(tuple), refused=maybe, custom_data=st.none() | objects,
)  # fmt: skip


@given(st.one_of(items, contexts, outcomes, finals, starts))
def test_what_is_encoded_is_decoded(value: Any) -> None:
    text = serialization.encode(value)

    assert serialization.decode(text, type(value)) == value
    assert serialization.decode(text.encode(), type(value)) == value


@given(json_values)
def test_what_is_dumped_is_loaded(value: Any) -> None:
    assert serialization.loads(serialization.dumps(value)) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": -float("inf")}])
def test_what_is_not_json_is_not_dumped(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        serialization.dumps(value)


@frozen
class Inner:
    word: str
    kind: RunKind = RunKind.API


@frozen
class Outer:
    count: int = 0
    seconds: float = 0.0
    on: bool = False
    text: str | None = None
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    anything: Any = None
    bag: dict[str, Any] = Factory(dict)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"count": "1"}, "Outer.count"),
        ({"count": True}, "Outer.count"),
        ({"count": 1.0}, "Outer.count"),
        ({"count": None}, "Outer.count"),
        ({"seconds": "1"}, "Outer.seconds"),
        ({"seconds": True}, "Outer.seconds"),
        ({"seconds": 10**400}, "Outer.seconds"),
        ({"on": 1}, "Outer.on"),
        ({"on": "true"}, "Outer.on"),
        ({"text": 5}, "Outer.text"),
        ({"inner": {}}, "Outer.inner"),
        ({"inner": {"word": 5}}, "Outer.inner.word"),
        ({"inner": {"word": "a", "kind": "other"}}, "Outer.inner.kind"),
        ({"inner": {"word": "a", "kind": 5}}, "Outer.inner.kind"),
        ({"inner": {"word": "a", "kind": ["api"]}}, "Outer.inner.kind"),
        ({"inner": [1]}, "Outer.inner"),
        ({"many": {"word": "a"}}, "Outer.many"),
        ({"many": "text"}, "Outer.many"),
        ({"many": [{"word": "a"}, {"word": 5}]}, "Outer.many"),
        ({"bag": [["a", 1]]}, "Outer.bag"),
        ({"bag": [1]}, "Outer.bag"),
        ({"bag": "text"}, "Outer.bag"),
        ({"bag": None}, "Outer.bag"),
    ],
)
def test_reading_is_strict_and_names_the_path(value: dict[str, Any], field: str) -> None:
    with pytest.raises(MessageError) as caught:
        serialization.structure(value, Outer)

    assert caught.value.field.startswith(field)


@pytest.mark.parametrize("value", [None, [], "text", 5, [{"count": 1}]])
def test_only_an_object_is_an_object(value: object) -> None:
    with pytest.raises(MessageError, match="expected object"):
        serialization.structure(value, Outer)


def test_unknown_fields_are_ignored_and_missing_ones_defaulted() -> None:
    assert serialization.structure({"count": 2, "new": {"a": 1}}, Outer) == Outer(count=2)
    assert serialization.structure({"seconds": 2}, Outer) == Outer(seconds=2.0)


def test_what_is_at_its_default_is_left_out() -> None:
    assert serialization.encode(Outer(count=1, many=(Inner("a"),))) == '{"count":1,"many":[{"word":"a"}]}'


def test_errors_never_show_the_value() -> None:
    for value in ({"count": "s3cr3t"}, {"inner": {"word": ["s3cr3t"]}}, {"many": [{"s3cr3t": 1}]}):
        with pytest.raises(MessageError) as caught:
            serialization.structure(value, Outer)
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_required_field_that_is_missing_is_named() -> None:
    with pytest.raises(MessageError, match="required field missing"):
        serialization.structure({}, Inner)
