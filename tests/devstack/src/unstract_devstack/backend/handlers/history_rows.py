"""File history rows: how they are found and serialized."""

from typing import Any

from unstract_devstack.backend.database import Database, Row
from unstract_devstack.backend.timestamps import offset, zulu

WITH_LIMIT = (
    "SELECT h.*, w.history_limit FROM file_histories h JOIN workflows w ON w.id = h.workflow_id WHERE h.workflow_id = ?"
)


def history_of(
    database: Database, workflow_id: str, cache_key: str | None, provider_file_uuid: str | None, path: str | None
) -> Row | None:
    """The row by hash or by the storage's id. With a path that path's row first, else the one without a path."""
    column, value = ("cache_key", cache_key) if cache_key else ("provider_file_uuid", provider_file_uuid)
    query = f"{WITH_LIMIT} AND h.{column} = ?"
    if path:
        row = database.one(f"{query} AND h.file_path = ?", (workflow_id, value, path))
        if row is not None:
            return row
    return database.one(f"{query} AND h.file_path IS NULL", (workflow_id, value))


def exceeded(row: Row) -> bool:
    """Whether a file has used up its tries; files without a path (API) have no limit."""
    return row["file_path"] is not None and bool(row["execution_count"] >= row["history_limit"])


def looked_up(row: Row) -> dict[str, Any]:
    """As lookups show it."""
    return {
        "id": row["id"],
        "max_execution_count": row["history_limit"],
        "has_exceeded_limit": exceeded(row),
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
        "cache_key": row["cache_key"],
        "provider_file_uuid": row["provider_file_uuid"],
        "status": row["status"],
        "execution_count": row["execution_count"],
        "error": row["error"],
        "result": row["result"],
        "metadata": row["metadata"],
        "file_path": row["file_path"],
        "workflow": row["workflow_id"],
    }


def created(row: Row, path: str | None) -> dict[str, Any]:
    """As create shows it: the caller's path, a count that is always 1, no empty fields."""
    shown = {
        "id": row["id"],
        "workflow_id": row["workflow_id"],
        "cache_key": row["cache_key"],
        "provider_file_uuid": row["provider_file_uuid"],
        "status": row["status"],
        "execution_count": 1,
        "result": row["result"],
        "metadata": row["metadata"],
        "error": row["error"],
        "file_path": path,
        "created_at": offset(row["created"]),
        "modified_at": offset(row["modified"]),
    }
    return {name: value for name, value in shown.items() if value is not None}
