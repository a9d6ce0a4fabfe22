"""Values that become part of a path or query are checked before any request is made. All raise MessageError."""

import re

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id

_HASH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}", re.ASCII)


def content_hash(value: str) -> str:
    """A file's content hash: the backend keeps 64 characters of it."""
    if not _HASH.fullmatch(value):
        raise MessageError("not a content hash", field="file_hash")
    return value


def uuids(**values: str) -> dict[str, str]:
    """The values as canonical UUIDs; a bad one is named by its argument."""
    return {name: execution_id(value, field=name) for name, value in values.items()}
