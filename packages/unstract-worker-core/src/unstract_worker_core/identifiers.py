"""Ids are checked by pattern where they enter, before they become a Redis key, a URL or a log field."""

import re
from uuid import UUID

from unstract_worker_core.errors import MessageError

# Organizations are strings such as "org_8QpLr2"; no separators of Redis keys, URLs, log lines or hash tags.
_ORGANIZATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", re.ASCII)
_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# The backend keeps 64 characters of it.
_HASH = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}", re.ASCII)
_OPAQUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:|\-]{0,254}", re.ASCII)


def execution_id(value: object, *, field: str = "execution_id") -> str:
    """The canonical text of a UUID given as UUID or str. Raises MessageError."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str) and _UUID.fullmatch(value):
        return value if _CANONICAL.fullmatch(value) else str(UUID(value))
    raise MessageError("not a UUID", field=field)


def uuids(**values: str) -> dict[str, str]:
    """Values as canonical UUIDs, by name. Raises MessageError, which names the bad one."""
    return {name: execution_id(value, field=name) for name, value in values.items()}


def content_hash(value: str) -> str:
    """The hash of a file's content, as the backend keeps it. Raises MessageError."""
    if not _HASH.fullmatch(value):
        raise MessageError("not a content hash", field="file_hash")
    return value


def organization_id(value: object, *, field: str = "organization_id") -> str:
    """An organization's string id. Raises MessageError.

    All digits are refused: the backend reads them as a primary key, which may be another organization's
    (contract: behaviours, X-Organization-ID).
    """
    if isinstance(value, str) and _ORGANIZATION.fullmatch(value) and not value.isdigit():
        return value
    raise MessageError("not an organization id", field=field)


def opaque_id(value: object, *, field: str) -> str:
    """An id that another program made, such as a Celery task id. Raises MessageError."""
    text = str(value) if isinstance(value, UUID) else value
    if isinstance(text, str) and _OPAQUE.fullmatch(text):
        return text
    raise MessageError("not a valid id", field=field)
