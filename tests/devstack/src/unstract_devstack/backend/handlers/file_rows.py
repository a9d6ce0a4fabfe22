"""File execution rows: how they are found, created and serialized."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import sqlite3
import uuid
from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, zulu
from unstract_devstack.backend.wire import refuse, valid_uuid

NAME_LENGTH = 255


def serialized(row: Row, path: str | None) -> dict[str, Any]:
    """The row; the path is the caller's where the row has none."""
    return {
        "id": row["id"],
        "workflow_execution_id": row["execution_id"],
        "file_name": row["file_name"],
        "file_path": path,
        "file_size": row["file_size"],
        "file_hash": row["file_hash"],
        "provider_file_uuid": row["provider_file_uuid"],
        "mime_type": row["mime_type"],
        "fs_metadata": json.loads(row["fs_metadata"]) if row["fs_metadata"] else None,
        "status": row["status"],
        "execution_error": row["execution_error"],
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
    }


def scoped_file(call: Call, file_execution_id: str) -> Row | None:
    """A row that the request's organization may see; without one any tenant's."""
    organization = call.scope.filtered()
    if organization is None:
        return call.database.one("SELECT * FROM file_executions WHERE id = ?", (file_execution_id,))
    return call.database.one(
        "SELECT f.* FROM file_executions f JOIN executions e ON e.id = f.execution_id"
        " WHERE f.id = ? AND e.organization_pk = ?",
        (file_execution_id, organization),
    )


def got_or_created(call: Call, execution_id: object, file: dict[str, Any]) -> Row:
    """The row of a file in an execution, by path and hash or by path and the storage's id.

    Looked up first and inserted after, not as one step: two callers at once can both insert where the database does
    not forbid it, which is so for API files, since their path is stored as null. More than one row is an error.
    """
    found_id = valid_uuid(execution_id)
    _demand_execution(call, found_id)
    path = None if file.get("source_connection_type") == "API" else file.get("file_path")
    known = _matching(call, found_id, path, file)
    if len(known) > 1:
        raise LookupError(f"get() returned more than one WorkflowFileExecution -- it returned {len(known)}!")
    if known:
        return known[0]
    created_id = str(uuid.uuid4())
    try:
        _insert(call, created_id, found_id, path, file)
    except sqlite3.IntegrityError as problem:
        return _after_conflict(call, found_id, path, file, problem)
    row = call.database.one("SELECT * FROM file_executions WHERE id = ?", (created_id,))
    assert row is not None
    return row


def _demand_execution(call: Call, execution_id: str) -> None:
    organization = call.scope.filtered()
    query, values = "SELECT 1 FROM executions WHERE id = ?", [execution_id]
    if organization is not None:
        query, values = f"{query} AND organization_pk = ?", [execution_id, str(organization)]
    if call.database.one(query, values) is None:
        raise refuse(404, error="WorkflowExecution not found or access denied")


def _matching(call: Call, execution_id: str, path: str | None, file: dict[str, Any]) -> list[Row]:
    column = "file_hash" if file.get("file_hash") else "provider_file_uuid"
    return call.database.all(
        f"SELECT * FROM file_executions WHERE execution_id = ? AND file_path IS ? AND {column} IS ?",
        (execution_id, path, file.get(column)),
    )


def _insert(call: Call, created_id: str, execution_id: str, path: str | None, file: dict[str, Any]) -> None:
    at, metadata = now(), file.get("fs_metadata")
    with call.database.write():
        call.database.insert(
            "file_executions",
            id=created_id,
            execution_id=execution_id,
            file_name=_name(file),
            file_path=path,
            file_size=file.get("file_size"),
            file_hash=file.get("file_hash") or None,
            provider_file_uuid=file.get("provider_file_uuid"),
            mime_type=file.get("mime_type"),
            fs_metadata=json.dumps(metadata) if metadata is not None else None,
            created=at,
            modified=at,
        )
        call.effect("files.create", execution_id=execution_id, file=file.get("file_path"), file_execution_id=created_id)


def _name(file: dict[str, Any]) -> str:
    name = str(file.get("file_name") or "")
    if len(name) > NAME_LENGTH:
        raise ValueError(f"value too long for type character varying({NAME_LENGTH})\n")
    return name


def _after_conflict(
    call: Call, execution_id: str, path: str | None, file: dict[str, Any], problem: sqlite3.IntegrityError
) -> Row:
    """Another caller was first: its row. Else the other unique key: a half-made row stays, and the call fails."""
    known = _matching(call, execution_id, path, file)
    if known:
        return known[0]
    at = now()
    call.database.insert(
        "file_executions",
        id=str(uuid.uuid4()),
        execution_id=execution_id,
        file_path=path,
        file_hash=file.get("file_hash") or None,
        created=at,
        modified=at,
    )
    raise ValueError(f"duplicate key value violates unique constraint: {problem}")
