"""Files as producers describe them (contract: tasks 2.1 and 4.1), read into the ledger's FileItem.

Connector credentials (`connector_metadata`) are not a field here: they are dropped on reading, before anything is
stored, published or logged.
"""

import unicodedata
from typing import Any

from attrs import frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger.records import FileItem
from unstract_worker_core.messages.fields import one_line, optional_text, read

__all__ = ["FILES_LIMIT", "FileHash", "file_item", "safe_path"]

FILES_LIMIT = 100_000
_LIMIT = 4096
_LARGEST_FILE = 2**63 - 1


@frozen
class FileHash:
    """One file of a start message or of a chord batch; nulls and missing fields mean the same."""

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
    if not path or len(path) > _LIMIT or not one_line(path):
        raise MessageError("not a file path", field=field)
    # Whoever normalises the path later must not find dots that we did not see.
    if ".." in unicodedata.normalize("NFKC", path).replace("\\", "/").split("/"):
        raise MessageError("path leaves its folder", field=field)
    return path


def file_item(value: object, *, number: int, field: str) -> FileItem:
    """Read one file. `number` stands in where the producer gave none. Raises MessageError."""
    found = read(value, FileHash, field=field)
    if not 0 <= (found.file_size or 0) <= _LARGEST_FILE:
        raise MessageError("not a size", field=f"{field}.file_size")

    def text(part: str) -> str | None:
        return optional_text(getattr(found, part), field=f"{field}.{part}")

    return FileItem(
        number=number,
        name=safe_path(found.file_name, field=f"{field}.file_name"),
        path=safe_path(found.file_path, field=f"{field}.file_path"),
        hash=text("file_hash") or "",
        size=found.file_size or 0,
        mime_type=text("mime_type") or "",
        provider_file_uuid=text("provider_file_uuid"),
        source_connection_type=text("source_connection_type") or "",
        is_executed=bool(found.is_executed),
        fs_metadata=found.fs_metadata or {},
    )
