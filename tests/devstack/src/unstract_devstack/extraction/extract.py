"""One file in, one result or one reason out: the reader is chosen by the name's suffix, the declared type, the content."""

import mimetypes
import re
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from unstract_devstack.extraction.model import Extraction, ExtractionError, Field
from unstract_devstack.extraction.readers import Content, read_html, read_json, read_pdf, read_table, read_text

MAX_FILE_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 8192
Reader = Callable[[bytes], Content]
# Suffixes and types.
READERS: Mapping[Reader, str] = {
    read_pdf: ".pdf application/pdf",
    read_table: ".csv .tsv text/csv text/tab-separated-values",
    read_json: ".json application/json",
    read_html: ".html .htm .xhtml text/html application/xhtml+xml",
    read_text: ".txt .text .log .md .rst .xml .yaml .yml application/xml application/yaml application/javascript"
    " application/x-sh application/x-tex message/rfc822",
}
BY_NAME = {word: reader for reader, words in READERS.items() for word in words.split()}
UNKNOWN_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
# A fixed table only: the machine's own mime.types must not change a result.
_GUESSES = mimetypes.MimeTypes()


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
    content = _reader(name if name is not None else path.name, mime_type, data[:HEAD_BYTES])(data)
    # A table is its rows; only a table without any is its text.
    text = None if content.rows else content.text
    found = {field.name: value for field in fields if (value := _find(content, field)) is not None}
    value = content.value if content.rows is None else None
    return Extraction(text=text, rows=content.rows, fields=found, pages=content.pages, value=value)


def is_supported(name: str, mime_type: str | None, head: bytes = b"") -> bool:
    """Whether there is a reader for a file of this name, declared type and first bytes."""
    try:
        return bool(_reader(name, mime_type, head))
    except ExtractionError:
        return False


def _reader(name: str, mime_type: str | None, head: bytes) -> Reader:
    suffix, declared = PurePath(name).suffix.lower(), (mime_type or "").partition(";")[0].strip().lower()
    if declared in UNKNOWN_TYPES:
        declared = _GUESSES.guess_type(name)[0] or declared
    known = BY_NAME.get(suffix) or BY_NAME.get(declared) or (read_text if declared.startswith("text/") else None)
    if known is not None:
        return known
    if head.startswith(b"%PDF-"):
        return read_pdf
    if declared in UNKNOWN_TYPES and _looks_like_text(head):
        return read_text
    raise ExtractionError(f"unsupported file type: {declared or 'unknown'}{f' ({suffix})' if suffix else ''}")


def _looks_like_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character cut by the end of the sample is no fault of the file.
        if error.start < len(head) - 3:
            return False
    return b"\x00" not in head


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
    match = re.search(field.pattern, content.text) if field.pattern is not None else None
    found = match and match.group(1 if match.re.groups else 0)
    if found is not None:
        return found.strip()
    return _by_key(content, field.key) if field.key is not None else None


def _by_key(content: Content, key: str) -> Any:
    if content.value is not None and not isinstance(content.value, list):
        return _at(content.value, key.split("."))
    if content.rows is not None:
        values = [_at(row, [key]) if key in row else _at(row, key.split(".")) for row in content.rows]
        return [value for value in values if value is not None] or None
    line = rf"(?im)^[ \t]*{re.escape(key)}[ \t]*:[ \t]*(\S.*)$"
    match = re.search(line, content.text)
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
