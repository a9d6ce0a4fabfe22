"""One file in, one result or one reason out."""

import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from unstract_devstack.extraction.decoding import decode
from unstract_devstack.extraction.fields import find_fields
from unstract_devstack.extraction.kinds import Kind, kind_of
from unstract_devstack.extraction.markup import read_html
from unstract_devstack.extraction.model import Content, Extraction, ExtractionError, Field
from unstract_devstack.extraction.pdf import read_pdf
from unstract_devstack.extraction.structured import read_json
from unstract_devstack.extraction.tables import read_table

MAX_FILE_BYTES = 64 * 1024 * 1024
HEAD_BYTES = 8192


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
    kind = kind_of(name if name is not None else path.name, mime_type, data[:HEAD_BYTES])
    content = READERS[kind](data)
    # A table is its rows; only a table without any is told by its text.
    text = None if content.rows else content.text
    value = content.value if content.rows is None else None
    found = find_fields(content, fields)
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


def _read_text(data: bytes) -> Content:
    text = decode(data)
    if not text.strip():
        raise ExtractionError("the file holds no text")
    return Content(text=text)


READERS: Mapping[Kind, Callable[[bytes], Content]] = MappingProxyType(
    {Kind.PDF: read_pdf, Kind.CSV: read_table, Kind.JSON: read_json, Kind.HTML: read_html, Kind.TEXT: _read_text}
)
