"""One file in, one result or one reason out."""

import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unstract_devstack.extraction.kinds import Kind, kind_of
from unstract_devstack.extraction.model import Content, Extraction, ExtractionError, Field
from unstract_devstack.extraction.structured import read_json, read_pdf, read_table
from unstract_devstack.extraction.text import read_html, read_text

MAX_FILE_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 8192
# Patterns come from the workflow's author, texts from anybody: a bounded text keeps a clumsy pattern affordable.
MAX_SEARCHED_CHARACTERS = 200_000
READERS: Mapping[Kind, Callable[[bytes], Content]] = {
    Kind.PDF: read_pdf, Kind.CSV: read_table, Kind.JSON: read_json, Kind.HTML: read_html, Kind.TEXT: read_text,
}  # fmt: skip


def extract(
    path: Path, *, mime_type: str | None = None, fields: Sequence[Field] = (), name: str | None = None
) -> Extraction:
    """The full text or the rows of the file at `path`, plus those of `fields` that it holds.

    Args:
        path: the file.
        mime_type: its declared type, used where the name's suffix says nothing.
        fields: what to look for.
        name: the name that the sender gave the file, if `path` is called otherwise.

    Raises:
        ExtractionError: no result, with the reason; never anything else for bad content.
    """
    data = _read(path)
    if not data:
        raise ExtractionError("the file is empty")
    content = READERS[kind_of(name if name is not None else path.name, mime_type, data[:HEAD_BYTES])](data)
    # A table is its rows; only a table without any is its text.
    text = None if content.rows else content.text
    found = {field.name: value for field in fields if (value := _find(content, field)) is not None}
    value = content.value if content.rows is None else None
    return Extraction(text=text, rows=content.rows, fields=found, pages=content.pages, value=value)


def _read(path: Path) -> bytes:
    try:
        # Before opening: a pipe would block, and a device has no end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ExtractionError("not a regular file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ExtractionError(f"the file cannot be read: {error.strerror or type(error).__name__}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ExtractionError(f"the file is larger than the limit of {MAX_FILE_BYTES // (1024 * 1024)} MiB")
    return data


def _find(content: Content, field: Field) -> Any:
    value = None
    if field.pattern is not None:
        match = re.search(field.pattern, content.text[:MAX_SEARCHED_CHARACTERS])
        found = match and match.group(1 if match.re.groups else 0)
        value = found.strip() if found is not None else None
    return _by_key(content, field.key) if value is None and field.key is not None else value


def _by_key(content: Content, key: str) -> Any:
    if content.value is not None and not isinstance(content.value, list):
        return _at(content.value, key.split("."))
    if content.rows is not None:
        values = [_at(row, [key]) if key in row else _at(row, key.split(".")) for row in content.rows]
        return [value for value in values if value is not None] or None
    line = re.compile(rf"^[ \t]*{re.escape(key)}[ \t]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
    match = line.search(content.text[:MAX_SEARCHED_CHARACTERS])
    return match.group(1).strip() if match else None


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and step.isascii() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
