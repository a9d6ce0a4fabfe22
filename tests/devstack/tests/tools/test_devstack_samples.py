"""The sample files end as `expected.json` says."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unstract_devstack.extraction import ExtractionError, extract
from unstract_devstack.samples import DOCUMENTS, INBOX, ExpectedFile, load_expectations

EXPECTED = load_expectations()
CASES = [
    *((DOCUMENTS / name, expected) for name, expected in EXPECTED.documents.items()),
    *((INBOX / name, expected) for name, expected in EXPECTED.inbox.items()),
]


def relative_names(folder: Path) -> set[str]:
    """The names of all files below `folder`."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("folder", "expected", "least"), [(DOCUMENTS, EXPECTED.documents, 10), (INBOX, EXPECTED.inbox, 6)]
)
def test_each_file_has_an_expectation(folder: Path, expected: Mapping[str, ExpectedFile], least: int) -> None:
    assert relative_names(folder) == set(expected)
    assert len(expected) >= least


@pytest.mark.parametrize(("path", "expected"), CASES, ids=[path.name for path, _ in CASES])
def test_each_file_ends_as_expected(path: Path, expected: ExpectedFile) -> None:
    if expected.error is not None:
        with pytest.raises(ExtractionError, match=expected.error):
            extract(path, fields=EXPECTED.fields)
        assert expected.status == "Failed"
    else:
        result = extract(path, fields=EXPECTED.fields)
        assert (expected.status, result.fields) == ("Success", expected.fields)
        assert (expected.contains or "") in json.dumps(result.as_output(), ensure_ascii=False)


def test_the_duplicate_is_one_and_the_equal_names_are_not() -> None:
    assert (DOCUMENTS / "invoice-kestrel.pdf").read_bytes() == (DOCUMENTS / "invoice-kestrel-copy.pdf").read_bytes()
    assert (INBOX / "february/summary.txt").read_bytes() != (INBOX / "march/summary.txt").read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["invoice-lumen.pdf", "contract-locked.pdf", "receipt.html", "orders.csv"]))
def test_a_damaged_document_gives_a_result_or_a_reason(tmp_path: Path, data: st.DataObject, name: str) -> None:
    content = bytearray((DOCUMENTS / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / name
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    output, reason = None, None
    try:
        output = extract(path, fields=EXPECTED.fields).as_output()
    except ExtractionError as error:
        reason = error.reason
    assert reason or output
    assert json.loads(json.dumps(output, ensure_ascii=False, allow_nan=False).encode()) == output
