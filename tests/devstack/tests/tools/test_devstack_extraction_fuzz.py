"""Whatever bytes come: a result or a reason, the same each time, and nothing that cannot be stored."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unstract_devstack.extraction import ExtractionError, Field, extract

MARKUP = st.lists(
    st.sampled_from(["<", ">", "<!", "<![", "]]>", "<!--", "<p", "</", "&#x", "a", '"', "=", "<?", "\ud800"])
)
BYTES = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=200).map(lambda text: text.encode()),
    MARKUP.map(lambda parts: "".join(parts).encode("utf-8", "surrogatepass")),
    st.binary(max_size=300).map(lambda data: b"%PDF-1.4\n" + data),
    st.recursive(
        st.one_of(st.none(), st.floats(), st.integers(), st.text()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)
FIELDS = (Field("a", key="a.b"), Field("b", pattern=r"(\w+)?:"), Field("c", key="a"))


def outcome(path: Path) -> tuple[dict[str, Any] | None, str | None]:
    """The output, or the reason why there is none."""
    try:
        return extract(path, fields=FIELDS).as_output(), None
    except ExtractionError as error:
        return None, error.reason


@pytest.mark.parametrize("suffix", [".pdf", ".csv", ".json", ".html", ".txt", ""])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=BYTES)
def test_any_bytes_give_a_result_or_a_reason(tmp_path: Path, suffix: str, data: bytes) -> None:
    path = tmp_path / f"any{suffix}"
    path.write_bytes(data)
    output, reason = outcome(path)
    if output is None:
        assert reason
    else:
        assert "text" in output or "rows" in output
        assert json.loads(json.dumps(output, ensure_ascii=False, allow_nan=False).encode()) == output
    assert outcome(path) == (output, reason)
