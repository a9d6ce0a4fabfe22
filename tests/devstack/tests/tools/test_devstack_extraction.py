"""What comes out of each document type, and that bad content always ends in a clear reason."""

import json
from pathlib import Path

import pytest

from unstract_devstack.extraction import MAX_FILE_BYTES, Extraction, ExtractionError, Field, extract, is_supported


def written(folder: Path, name: str, content: bytes | str) -> Path:
    """The path of a new file with this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(folder: Path, name: str, content: bytes | str, *fields: Field) -> Extraction:
    """The extraction of a new file with this content."""
    return extract(written(folder, name, content), fields=fields)


def refusal(folder: Path, name: str, content: bytes | str) -> str:
    """The reason why a new file with this content gives nothing."""
    with pytest.raises(ExtractionError) as caught:
        read(folder, name, content)
    return caught.value.reason


def test_text_keeps_every_character_and_finds_fields(tmp_path: Path) -> None:
    body = "Invoice No: A-17\nTotal due:  120.50 EUR\nThanks, Zoë\n"
    result = read(
        tmp_path, "a.txt", body, Field("number", key="invoice no"), Field("total", pattern=r"due:\s+([\d.]+)"),
        Field("currency", pattern=r"EUR|USD"), Field("absent", key="VAT id"),
    )  # fmt: skip
    assert result.text == body
    assert result.fields == {"number": "A-17", "total": "120.50", "currency": "EUR"}
    assert result.as_output() == {"text": body, "fields": result.fields}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Zoë".encode("utf-8-sig"), "Zoë"),
        ("Zoë €".encode("cp1252"), "Zoë €"),
        (b"caf\xe9 \x81", "café \x81"),
        ("Zoë".encode("utf-16"), "Zoë"),
    ],
)
def test_text_encodings(tmp_path: Path, content: bytes, expected: str) -> None:
    assert read(tmp_path, "a.md", content).text == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_table_rows_for_each_delimiter(tmp_path: Path, delimiter: str) -> None:
    lines = ["name{0}amount{0}note", 'Kite{0}3{0}"a{0}b"', "Rope{0}4,5{0}", ""]
    if delimiter == ",":
        lines[2] = 'Rope{0}"4,5"{0}'
    result = read(tmp_path, "a.csv", "\r\n".join(lines).format(delimiter), Field("amounts", key="amount"))
    assert result.rows == (
        {"name": "Kite", "amount": "3", "note": f"a{delimiter}b"},
        {"name": "Rope", "amount": "4,5", "note": ""},
    )
    assert result.text is None
    assert result.fields == {"amounts": ["3", "4,5"]}


def test_table_names_every_column_once(tmp_path: Path) -> None:
    result = read(tmp_path, "a.csv", "a,a,\n1,2,3,4\n5\n")
    assert result.rows == (
        {"a": "1", "a_2": "2", "column_3": "3", "column_4": "4"},
        {"a": "5", "a_2": "", "column_3": "", "column_4": ""},
    )


def test_table_without_rows_is_told_by_its_text(tmp_path: Path) -> None:
    result = read(tmp_path, "a.csv", "name,amount\n")
    assert (result.rows, result.text) == ((), "name,amount\n")


def test_json_object_and_list(tmp_path: Path) -> None:
    document = '{"order": {"id": 7, "lines": [{"sku": "x"}]}}'
    order = read(tmp_path, "a.json", document, Field("id", key="order.id"), Field("sku", key="order.lines.0.sku"))
    assert (order.text, order.value, order.rows) == (document, json.loads(document), None)
    assert order.fields == {"id": 7, "sku": "x"}
    listed = read(tmp_path, "b.json", '[{"a.b": 1}, 2, {"a": {"b": 3}}]', Field("ab", key="a.b"))
    assert listed.rows == ({"a.b": 1}, {"value": 2}, {"a": {"b": 3}})
    assert listed.fields == {"ab": [1, 3]}


def test_what_no_store_takes_is_replaced(tmp_path: Path) -> None:
    assert read(tmp_path, "a.json", r'["\ud800", {"\u0000": "\ud83d\ude00"}]').rows == (
        {"value": "\ufffd"},
        {"\ufffd": "\U0001f600"},
    )
    assert read(tmp_path, "a.html", "<p>a&#0;b&#xd800;</p>").text == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON: .* line 1 column 2"),
        ("[NaN]", "NaN is not a JSON value"),
        ("[1e999]", "out of range"),
        ("9" * 5000, "too many digits"),
        ("[" * 100_000, "nested deeper than 100"),
        ("[" * 150 + "]" * 150, "nested deeper than 100"),
    ],
)
def test_json_that_is_none(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(ExtractionError, match=reason):
        read(tmp_path, "a.json", content)


def test_html_shows_what_a_reader_sees(tmp_path: Path) -> None:
    page = """<html><head><title>Receipt</title><style>p {color: red}</style></head><body>
      <p>Paid &amp; <b>settled</b>
      today</p><script>var secret = "</p>";</script>
      <table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>2.40</td></tr></table></body></html>"""
    result = read(tmp_path, "a.html", page, Field("tea", pattern=r"Tea\t([\d.]+)"))
    assert result.text == "Receipt\nPaid & settled today\nItem\tPrice\nTea\t2.40"
    assert result.fields == {"tea": "2.40"}


def test_html_in_its_declared_charset_and_with_odd_sections(tmp_path: Path) -> None:
    page = '<meta charset="windows-1251"><p>Счёт</p>'.encode("cp1251")
    assert read(tmp_path, "a.htm", page).text == "Счёт"
    assert "kept" in str(read(tmp_path, "b.html", "<p>kept</p><![foo bar]><p>too</p>").text)
    assert read(tmp_path, "c.html", '<meta charset="rot13"><p>plain</p>').text == "plain"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "the file is empty"),
        ("a.pdf", b"", "the file is empty"),
        ("a.txt", b" \n", "the file holds no text"),
        ("a.txt", b"ab\x00cd", "binary data"),
        ("a.csv", b"\xff\x01\x02", "binary data"),
        ("a.html", b"<script>1</script>", "no text"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "unsupported file type: image/png (.png)"),
        ("a.bin", b"\x01\x00\xff", "unsupported file type: application/octet-stream (.bin)"),
        ("strange", b"\x01\x00\xff", "unsupported file type: unknown"),
        ("a.pdf", b"hello", "not a PDF"),
        ("a.pdf", b"%PDF-1.7\nhello", "the PDF is corrupt"),
    ],
)
def test_reasons(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    assert reason in refusal(tmp_path, name, content)


def test_type_by_name_then_declared_type_then_content(tmp_path: Path) -> None:
    path = written(tmp_path, "blob", '{"a": 1}')
    assert extract(path, mime_type="application/json; charset=utf-8").value == {"a": 1}
    assert extract(path, mime_type="image/png", name="x.json").value == {"a": 1}
    assert extract(path).text == '{"a": 1}'
    assert extract(path, mime_type="application/octet-stream").value is None
    assert is_supported("x.json", None)
    assert not is_supported("x.png", None)
    assert not is_supported("x.txt.zip", "application/zip")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="No such file"):
        extract(tmp_path / "missing.txt")
    with pytest.raises(ExtractionError, match="not a regular file"):
        extract(tmp_path)
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(ExtractionError, match="limit of 64 MiB"):
        extract(large)


@pytest.mark.parametrize(("pattern", "key"), [("(", None), (None, None)])
def test_fields_are_checked_when_declared(pattern: str | None, key: str | None) -> None:
    with pytest.raises(ValueError, match="'total'"):
        Field("total", pattern=pattern, key=key)


def test_a_summary_says_in_a_few_words_what_was_extracted(tmp_path: Path) -> None:
    found = read(tmp_path, "a.csv", "name,amount\nA,1\nB,2\n", Field("people", key="name"))
    assert found.summary == "people A, B, 2 rows"
    assert read(tmp_path, "a.txt", "12345").summary == "5 characters of text"
    assert len(read(tmp_path, "b.txt", f"text: {'x' * 5000}", Field("text", key="text")).summary) < 400
