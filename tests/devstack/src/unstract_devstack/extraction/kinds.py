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


BY_SUFFIX = {
    ".pdf": Kind.PDF,
    ".csv": Kind.CSV,
    ".tsv": Kind.CSV,
    ".json": Kind.JSON,
    ".html": Kind.HTML,
    ".htm": Kind.HTML,
    ".xhtml": Kind.HTML,
    ".txt": Kind.TEXT,
    ".text": Kind.TEXT,
    ".log": Kind.TEXT,
    ".md": Kind.TEXT,
    ".rst": Kind.TEXT,
    ".xml": Kind.TEXT,
    ".yaml": Kind.TEXT,
    ".yml": Kind.TEXT,
}
BY_TYPE = {
    "application/pdf": Kind.PDF,
    "text/csv": Kind.CSV,
    "text/tab-separated-values": Kind.CSV,
    "application/json": Kind.JSON,
    "text/html": Kind.HTML,
    "application/xhtml+xml": Kind.HTML,
    "application/xml": Kind.TEXT,
    "application/yaml": Kind.TEXT,
    "application/javascript": Kind.TEXT,
    "application/x-sh": Kind.TEXT,
    "application/x-tex": Kind.TEXT,
    "message/rfc822": Kind.TEXT,
}
UNKNOWN_TYPES = frozenset({"", "application/octet-stream", "binary/octet-stream"})


def kind_of(name: str, mime_type: str | None, head: bytes) -> Kind:
    """The kind of the file called `name`, whose first bytes are `head`.

    Raises:
        ExtractionError: no reader for this type; the reason names it.
    """
    declared = _declared_kind(name, mime_type)
    if declared is not None:
        return declared
    if head.startswith(b"%PDF-"):
        return Kind.PDF
    label = _type_label(name, mime_type)
    if _type_of(name, mime_type) in UNKNOWN_TYPES and _looks_like_text(head):
        return Kind.TEXT
    raise ExtractionError(f"unsupported file type: {label}")


def is_supported(name: str, mime_type: str | None, head: bytes = b"") -> bool:
    """Whether there is a reader for a file of this name, declared type and first bytes."""
    try:
        kind_of(name, mime_type, head)
    except ExtractionError:
        return False
    return True


def _declared_kind(name: str, mime_type: str | None) -> Kind | None:
    suffix = PurePath(name).suffix.lower()
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix]
    declared = _type_of(name, mime_type)
    if declared in BY_TYPE:
        return BY_TYPE[declared]
    return Kind.TEXT if declared.startswith("text/") else None


def _type_of(name: str, mime_type: str | None) -> str:
    declared = (mime_type or "").partition(";")[0].strip().lower()
    if declared not in UNKNOWN_TYPES:
        return declared
    # Fixed tables only: the machine's own mime.types must not change a result.
    return _TYPES.guess_type(name)[0] or declared


def _type_label(name: str, mime_type: str | None) -> str:
    suffix = PurePath(name).suffix.lower()
    declared = _type_of(name, mime_type) or "unknown"
    return f"{declared} ({suffix})" if suffix else declared


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


_TYPES = mimetypes.MimeTypes()
