import hashlib

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core import serialization
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind, RunContext
from unstract_worker_core.runs.outcomes import Executed, error_text, file_metadata, to_outcome
from unstract_worker_core.statuses import RunKind
from unstract_worker_file_processing.chord_compat import IN_USE, FileDecision, batch_result
from unstract_worker_file_processing.history import content_key, executed_with, stored_value

API = RunContext("e", "org", "w", RunKind.API)
ETL = RunContext("e", "org", "w", RunKind.ETL)
ITEM = FileItem(1, "a.pdf", "in/a.pdf", hash="h", file_execution_id="row", copies=("b.pdf",))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({"workflow": "no tool"}, "Workflow error: no tool"),
        ({"workflow": "no tool", "destination": "full"}, "Workflow error: no tool; Destination error: full"),
        ({"workflow": "Destination error: full"}, "Destination error: full"),
        ({"processing": "two\nlines\t here"}, "Processing error: two lines here"),
        ({}, "Processing error: no reason given"),
    ],
)
def test_error_texts(parts, text):
    assert error_text(**parts) == text


@given(st.text(max_size=3000))
def test_an_error_is_one_short_line(text):
    reported = error_text(workflow=text)

    assert 0 < len(reported) <= 1000
    assert len(reported.splitlines()) == 1


@given(JSON)
def test_what_history_keeps_is_read_as_it_was_meant(value):
    assert stored_value(serialization.dumps(value)) == (value if serialization.dumps(value) else None)
    if not isinstance(value, str):
        assert stored_value(repr(value)) == value


@pytest.mark.parametrize(
    "text", ["plain words", "{'a': {1, 2}}", "[" * 5000, "b'raw'", "NaN", "1e999", "__import__('os')"]
)
def test_what_is_neither_json_nor_a_literal_of_it_stays_text(text):
    assert stored_value(text) == text


def test_a_result_is_measured_in_bytes():
    at_limit = {"output": "é" * 10}
    size = len(serialization.dumps(at_limit).encode())

    assert executed_with(at_limit, kind=RunKind.API, limit=size).error is None
    assert f"has {size} bytes" in executed_with(at_limit, kind=RunKind.API, limit=size - 1).error


def test_a_result_without_an_api_caller_is_neither_kept_nor_limited():
    assert executed_with({"output": "x" * 100}, kind=RunKind.ETL, limit=1) == Executed()


def test_the_executors_word_survives_the_journal():
    said = Executed({"output": [1, {"k": None}]}, None, 1.5, "hash")

    assert (
        serialization.structure(serialization.loads(serialization.dumps(serialization.unstructure(said))), Executed)
        == said
    )


def test_metadata_has_every_key_even_where_nothing_is_known():
    assert file_metadata(API, ITEM, Executed()) == {
        "source_name": "a.pdf", "source_hash": "h", "organization_id": "org", "workflow_id": "w", "execution_id": "e",
        "total_elapsed_time": 0.0, "tool_metadata": [], "total_pages_processed": None,
        "usage": {
            "file_execution_id": "row", "embedding_tokens": None, "prompt_tokens": None, "completion_tokens": None,
            "total_tokens": None, "cost_in_dollars": None,
        },
    }  # fmt: skip


def test_outcomes_keep_results_for_api_callers_only():
    result = Executed({"k": 1}, metadata={"m": 1})
    assert to_outcome(API, ITEM, result).result == {"k": 1}
    assert to_outcome(API, ITEM, evolve(result, error="no")).result is None
    assert to_outcome(ETL, ITEM, result) == FileOutcome(
        1, "a.pdf", OutcomeKind.COMPLETED, file_execution_id="row", copies=("b.pdf",)
    )


def test_history_is_kept_under_the_contents_hash_or_the_storages_identity():
    etl = FileItem(1, "a", "in/a", provider_file_uuid="etag")

    assert content_key(ITEM, Executed(source_hash="other")) == "h"
    assert content_key(etl, Executed(source_hash="other")) == "other"
    assert content_key(etl, Executed()) == hashlib.sha256(b"etag:in/a").hexdigest()
    assert content_key(FileItem(1, "a", "in/a"), Executed()) == ""


ITEMS = [FileItem(number, f"f{number}", f"p{number}", copies=("c",) * (number % 3)) for number in range(1, 5)]
FATES = ["done", "failed", "skipped", "skip", "fail broken", f"fail {IN_USE}"]


@given(st.lists(st.sampled_from(FATES), min_size=4, max_size=4))
def test_every_upload_is_counted_once_whatever_became_of_it(fates):
    kinds = {"done": OutcomeKind.COMPLETED, "failed": OutcomeKind.ERROR, "skipped": OutcomeKind.SKIPPED}
    pairs = list(zip(ITEMS, fates, strict=True))
    outcomes = [FileOutcome(i.number, i.name, kinds[f], copies=i.copies, seconds=1.0) for i, f in pairs if f in kinds]
    journal = {f"file:{i.number}": "row x" if f in kinds else f for i, f in pairs}

    result = batch_result(ITEMS, outcomes, journal, "org")

    uploads = {word: sum(i.uploads for i, f in pairs if f.startswith(word)) for word in ("done", "fail", "skip")}
    assert result.successful_files == uploads["done"]
    assert result.failed_files == uploads["fail"]
    assert result.skipped_already_completed == uploads["skip"]
    assert result.total_files == sum(item.uploads for item in ITEMS)
    assert result.skipped_active_duplicate == sum(i.uploads for i, f in pairs if IN_USE in f)
    assert result.execution_time == float(len(outcomes))


@pytest.mark.parametrize("decision", [FileDecision("row-id"), FileDecision(reason="two words"), FileDecision()])
def test_decisions_survive_the_journal(decision):
    assert FileDecision.read(decision.as_text()) == decision
