"""The start message of an execution (contract: tasks 2): `async_execute_bin`, its aliases, and its files.

A file whose description cannot be used does not hide its siblings: it becomes an item with the reason in `refused`
and with a name and a path that a log line, a URL and the backend can hold. Such an item gets a row and ends in ERROR.

Connector credentials (`connector_metadata`) are not a field here: they are dropped on reading, before anything is
stored, published or logged.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from attrs import Factory, frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.ledger.records import UNSUPPORTED_HASH, FileItem
from unstract_worker_core.messages.fields import (
    flag,
    is_one_line,
    named,
    optional_id,
    optional_object,
    optional_text,
    read,
)
from unstract_worker_core.statuses import RunKind

FILES_LIMIT = 100_000
_LONGEST_PATH = 4096
_LONGEST_SHOWN = 200  # the backend's columns hold 255
_LARGEST_FILE = 2**63 - 1
_API_ORDER = (
    "schema_name", "workflow_id", "execution_id", "hash_values_of_files", "scheduled", "execution_mode",
    "pipeline_id", "log_events_id", "use_file_history",
)  # fmt: skip
_GENERAL_ORDER = (*_API_ORDER[:7], "use_file_history")


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
    if not is_one_line(path):
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
    return char != "%" and is_one_line(char) and not hides_dots


@frozen
class StartMessage:
    """An execution to start. Ids are text (producers also send UUID objects); `files` is empty for ETL."""

    organization_id: str
    workflow_id: str
    execution_id: str
    kind: RunKind
    files: tuple[FileItem, ...] = ()
    pipeline_id: str | None = None
    log_events_id: str | None = None
    use_file_history: bool = False
    scheduled: bool = False
    llm_profile_id: str | None = None
    hitl_queue_name: str | None = None
    hitl_packet_id: str | None = None
    custom_data: dict[str, Any] | None = None
    refused: str | None = None
    tags: tuple[Any, ...] = Factory(tuple)


def read_start(args: Sequence[object], kwargs: Mapping[str, object], *, kind: RunKind) -> StartMessage:
    """Read the arguments of `async_execute_bin`. Raises MessageError.

    A file that cannot be read is refused by itself (`FileItem.refused`). A message whose ids can be read but which
    cannot be used otherwise comes back with `refused` set to the reason, so that the execution ends in ERROR instead
    of waiting for ever.
    """
    order = _API_ORDER if kind is RunKind.API else _GENERAL_ORDER
    given = named(args, kwargs, order)
    twice = kwargs.keys() & set(order[: len(args)])
    if twice:
        raise MessageError("given both by position and by name", field=min(twice))
    organization = organization_id(given.get("schema_name"), field="schema_name")
    workflow = execution_id(given.get("workflow_id"), field="workflow_id")
    execution = execution_id(given.get("execution_id"))
    try:
        return StartMessage(
            organization_id=organization,
            workflow_id=workflow,
            execution_id=execution,
            kind=kind,
            files=_files(given.get("hash_values_of_files")),
            pipeline_id=optional_id(given.get("pipeline_id"), field="pipeline_id"),
            log_events_id=optional_text(given.get("log_events_id"), field="log_events_id"),
            use_file_history=flag(given.get("use_file_history"), field="use_file_history", default=kind is RunKind.ETL),
            scheduled=flag(given.get("scheduled"), field="scheduled", default=False),
            llm_profile_id=optional_text(given.get("llm_profile_id"), field="llm_profile_id"),
            hitl_queue_name=optional_text(given.get("hitl_queue_name"), field="hitl_queue_name"),
            hitl_packet_id=optional_text(given.get("hitl_packet_id"), field="hitl_packet_id"),
            custom_data=optional_object(given.get("custom_data"), field="custom_data"),
        )
    except MessageError as error:
        return StartMessage(organization, workflow, execution, kind, refused=f"start message refused: {error}")


def _files(value: object) -> tuple[FileItem, ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise MessageError("expected object", field="hash_values_of_files")
    if len(value) > FILES_LIMIT:
        raise MessageError(f"more than {FILES_LIMIT} files", field="hash_values_of_files")
    return tuple(
        file_item(entry, number=number, name=name if isinstance(name, str) else f"file {number}")
        for number, (name, entry) in enumerate(value.items(), start=1)
    )
