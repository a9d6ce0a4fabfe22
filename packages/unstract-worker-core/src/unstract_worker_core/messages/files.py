"""Files as producers describe them (contract: tasks 2.1 and 4.1), read into the ledger's FileItem.

A file whose description cannot be used does not hide its siblings: it becomes an item with the reason in `refused`
and with a name and a path that a log line, a URL and the backend can hold. Such an item gets a row and ends in ERROR.

Connector credentials (`connector_metadata`) are not a field here: they are dropped on reading, before anything is
stored, published or logged.
"""

import unicodedata
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from attrs import frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger.records import UNSUPPORTED_HASH, FileItem
from unstract_worker_core.messages.fields import one_line, optional_text, read

FILES_LIMIT = 100_000
_LONGEST_PATH = 4096
_LONGEST_SHOWN = 200  # the backend's columns hold 255
_LARGEST_FILE = 2**63 - 1


@frozen
class _FileHash:
    """One file of a start message, a chord batch or a source listing; null and missing mean the same."""

    file_name: str
    file_path: str
    file_hash: str | None = None
    source_connection_type: str | None = None
    is_executed: bool | None = None
    file_size: int | None = None
    mime_type: str | None = None
    provider_file_uuid: str | None = None
    fs_metadata: dict[str, Any] | None = None
    file_number: int | None = None


def safe_path(path: str, *, field: str) -> str:
    """The path, if it stays inside its root and in one log line. Raises MessageError."""
    if not path:
        raise MessageError("empty", field=field)
    if len(path) > _LONGEST_PATH:
        raise MessageError(f"longer than {_LONGEST_PATH} characters", field=field)
    if not one_line(path):
        raise MessageError("a line break or a control character in it", field=field)
    # A reader that normalises the path later must not find dots that were not seen here.
    if ".." in unicodedata.normalize("NFKC", path).replace("\\", "/").split("/"):
        raise MessageError("the path leaves its folder", field=field)
    return path


def file_item(value: object, *, number: int, name: str) -> FileItem:
    """Read one file. Never raises: an item that cannot be used says why in `refused`.

    Args:
        value: the producer's description, decoded from JSON.
        number: the file's number in the execution, from 1.
        name: what the file is called where the description has no readable name, such as its key in a list.
    """
    try:
        return _usable(value, number)
    except MessageError as error:
        reason = f"{error.field.rpartition('.')[2]}: {error.reason}"
        return refused_item(value, number=number, name=name, reason=reason)


def refused_item(value: object, *, number: int, name: str, reason: str) -> FileItem:
    """An item for a file that cannot be worked on. Arguments as of `file_item`.

    It looks like an upload of an unsupported type, which workers without the field `refused` do not execute either.
    """
    described = value if isinstance(value, Mapping) else {}
    shown = _printable(described.get("file_name"), name)
    path = _printable(described.get("file_path"), shown)
    source = described.get("source_connection_type")
    return FileItem(
        number=number,
        name=shown,
        path=path,
        # By its number, too: the backend has one row for uploads of equal content, and this one is equal to none.
        hash=UNSUPPORTED_HASH + sha256(f"{number}\0{shown}\0{path}".encode()).hexdigest()[:32],
        source_connection_type=source if source in ("API", "FILESYSTEM") else "",
        is_executed=True,
        refused=f"the file's description cannot be used: {reason}",
    )


def _usable(value: object, number: int) -> FileItem:
    """Read a description. Raises MessageError naming its field."""
    found = read(value, _FileHash, field="file")
    if not 0 <= (found.file_size or 0) <= _LARGEST_FILE:
        raise MessageError("not a size", field="file_size")

    def text(part: str) -> str | None:
        return optional_text(getattr(found, part), field=part)

    return FileItem(
        number=number,
        name=safe_path(found.file_name, field="file_name"),
        path=safe_path(found.file_path, field="file_path"),
        hash=text("file_hash") or "",
        size=found.file_size or 0,
        mime_type=text("mime_type") or "",
        provider_file_uuid=text("provider_file_uuid"),
        source_connection_type=text("source_connection_type") or "",
        is_executed=bool(found.is_executed),
        fs_metadata=found.fs_metadata or {},
    )


def _printable(value: object, otherwise: str) -> str:
    """A name or path as safe text: what `safe_path` refuses is percent-encoded, what is too long is cut."""
    text = value if isinstance(value, str) and value else otherwise
    try:
        shown = safe_path(text, field="name")
    except MessageError:
        shown = "".join(char if _plain(char) else quote(char, safe="", errors="surrogatepass") for char in text)
        shown = shown.replace("..", "%2E%2E") or "unnamed"
    if len(shown) <= _LONGEST_SHOWN:
        return shown
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{shown[:_LONGEST_SHOWN]}...{digest}"


def _plain(char: str) -> bool:
    hides_dots = char != "." and "." in unicodedata.normalize("NFKC", char)
    return char != "%" and one_line(char) and not hides_dots
