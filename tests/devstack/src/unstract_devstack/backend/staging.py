"""Uploads on their way in: names, types and hashes of files, and where they are put."""

import hashlib
import mimetypes
import unicodedata
import uuid
from pathlib import Path
from typing import Any

from attrs import field, frozen

from unstract_devstack.extraction import is_supported

HEAD_BYTES = 8192
NAME_BYTES = 200
SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x7fELF", "application/x-executable"),
)
TYPES = mimetypes.MimeTypes()


@frozen
class Upload:
    """One file as it came."""

    name: str
    content: bytes = field(repr=False)


def safe_name(name: str) -> str:
    """A file name without any directory, control character or excess length."""
    plain = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "C").strip()
    if plain.strip(".") == "":
        return "file"
    path = Path(plain)
    while len(plain.encode()) > NAME_BYTES:
        path = path.with_name(path.stem[:-1] + path.suffix) if len(path.stem) > 1 else Path(plain[:40])
        plain = path.name
    return plain


def distinct(name: str, taken: set[str]) -> str:
    """The name, or one with a number where it is taken: no upload replaces another."""
    path, number, found = Path(name), 1, name
    while found.casefold() in taken:
        found = f"{path.stem}-{number}{path.suffix}"
        number += 1
    taken.add(found.casefold())
    return found


def mime_type_of(name: str, content: bytes) -> str:
    """By the content's signature, else by the name, else text or unknown bytes."""
    for signature, kind in SIGNATURES:
        if content.startswith(signature):
            return kind
    guessed = TYPES.guess_type(name)[0]
    if guessed is not None:
        return guessed
    return "text/plain" if is_supported(name, None, content[:HEAD_BYTES]) else "application/octet-stream"


def readable(name: str, mime_type: str, content: bytes) -> bool:
    """Whether there is a tool for it. A signature of something else than its name says counts."""
    if mime_type.startswith("image/") or mime_type in {"application/zip", "application/x-executable"}:
        return False
    return is_supported(name, mime_type, content[:HEAD_BYTES])


def staged(root: Path, directory: str, uploads: list[Upload], *, store: str = "") -> dict[str, dict[str, Any]]:
    """Store the uploads; returns the eleven fields of each by file name. Unsupported types are not stored.

    `store`: API_FILE_STORAGE_CREDENTIALS of an object store that they are put into too; empty: there is none.
    """
    taken: set[str] = set()
    files: dict[str, dict[str, Any]] = {}
    for upload in uploads:
        name = distinct(safe_name(upload.name), taken)
        kind = mime_type_of(name, upload.content)
        supported = readable(name, kind, upload.content)
        path = f"{directory}/{name}"
        if supported:
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(upload.content)
            if store:
                _put(store, path, upload.content)
        digest = hashlib.sha256(upload.content).hexdigest() if supported else f"temp-hash-{uuid.uuid4().hex}"
        files[name] = {
            "file_path": path,
            "file_hash": digest,
            "file_name": name,
            "source_connection_type": "API",
            "file_destination": None,
            "is_executed": not supported,
            "file_size": len(upload.content),
            "mime_type": kind,
            "provider_file_uuid": None,
            "fs_metadata": None,
            "file_number": None,
        }
    return files


def _put(store: str, path: str, content: bytes) -> None:
    from unstract_devstack.executor.storage import opened  # with fsspec, which nothing else here needs

    opened(store).pipe_file(path, content)
