"""Which reader a file needs: by the suffix of its name, then by its declared type, then by its first bytes."""

import mimetypes
from enum import StrEnum
from pathlib import PurePath

from unstract_devstack.extraction.model import ExtractionError


class Kind(StrEnum):
    """The document types that can be read."""

    PDF = "pdf"
    CSV = "csv"
    JSON = "json"
    HTML = "html"
    TEXT = "text"


SUFFIXES = {
    Kind.PDF: ".pdf", Kind.CSV: ".csv .tsv", Kind.JSON: ".json", Kind.HTML: ".html .htm .xhtml",
    Kind.TEXT: ".txt .text .log .md .rst .xml .yaml .yml",
}  # fmt: skip
TYPES = {
    Kind.PDF: "application/pdf",
    Kind.CSV: "text/csv text/tab-separated-values",
    Kind.JSON: "application/json",
    Kind.HTML: "text/html application/xhtml+xml",
    Kind.TEXT: "application/xml application/yaml application/javascript application/x-sh application/x-tex message/rfc822",
}
BY_NAME = {word: kind for table in (SUFFIXES, TYPES) for kind, words in table.items() for word in words.split()}
UNKNOWN_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})
# A fixed table only: the machine's own mime.types must not change a result.
_GUESSES = mimetypes.MimeTypes()


def kind_of(name: str, mime_type: str | None, head: bytes) -> Kind:
    """The kind of the file called `name`, whose first bytes are `head`.

    Raises:
        ExtractionError: no reader for this type; the reason names it.
    """
    suffix, declared = PurePath(name).suffix.lower(), _type_of(name, mime_type)
    known = BY_NAME.get(suffix) or BY_NAME.get(declared) or (Kind.TEXT if declared.startswith("text/") else None)
    if known is not None:
        return known
    if head.startswith(b"%PDF-"):
        return Kind.PDF
    if declared in UNKNOWN_TYPES and _looks_like_text(head):
        return Kind.TEXT
    raise ExtractionError(f"unsupported file type: {declared or 'unknown'}{f' ({suffix})' if suffix else ''}")


def is_supported(name: str, mime_type: str | None, head: bytes = b"") -> bool:
    """Whether there is a reader for a file of this name, declared type and first bytes."""
    try:
        kind_of(name, mime_type, head)
    except ExtractionError:
        return False
    return True


def _type_of(name: str, mime_type: str | None) -> str:
    declared = (mime_type or "").partition(";")[0].strip().lower()
    return declared if declared not in UNKNOWN_TYPES else _GUESSES.guess_type(name)[0] or declared


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
