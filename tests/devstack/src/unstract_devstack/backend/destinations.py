"""Where the results of ETL and TASK workflows go: a folder with a JSON file each, or a table in a SQLite file."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import re
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import frozen

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.services import Services

TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@frozen
class Source:
    """What is known of the file that a result came from."""

    name: str
    path: str
    file_execution_id: str | None


def write(services: Services, workflow: Row, source: Source, result: dict[str, Any]) -> str | None:
    """Write a result; returns what was written to. API workflows write nothing here."""
    if workflow["destination_folder"]:
        return str(_write_file(Path(workflow["destination_folder"]), source, result))
    if workflow["destination_table"]:
        _write_row(services, workflow, source, result)
        return f"table {workflow['destination_table']}"
    return None


def _write_file(folder: Path, source: Source, result: dict[str, Any]) -> Path:
    """One JSON file per file execution; it appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    known = source.file_execution_id or ""
    name = known if SAFE_NAME.fullmatch(known) else str(uuid.uuid4())
    target, partial = folder / f"{name}.json", folder / f".{name}.{uuid.uuid4().hex}.partial"
    content = {"file": source.name, "path": source.path, **result}
    partial.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")
    partial.replace(target)
    return target


def _tables(services: Services, table: str) -> "closing[sqlite3.Connection]":
    """The SQLite file that holds every destination table. Raises ValueError for what is no name of a table."""
    if not TABLE_NAME.fullmatch(table):
        raise ValueError(f"{table!r} is no name of a table")
    connection = sqlite3.connect(services.root / "destination.sqlite3", isolation_level=None)
    connection.row_factory = Row
    return closing(connection)


def _write_row(services: Services, workflow: Row, source: Source, result: dict[str, Any]) -> None:
    """One row per call: work that is done twice leaves two. The caller holds the backend's write lock."""
    table, data = workflow["destination_table"], json.dumps(result, ensure_ascii=False)
    with _tables(services, table) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, workflow_id TEXT,"
            " file_execution_id TEXT, file_name TEXT, file_path TEXT, data TEXT)"
        )
        connection.execute(
            f"INSERT INTO {table} (at, workflow_id, file_execution_id, file_name, file_path, data)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (time.time(), workflow["id"], source.file_execution_id, source.name, source.path, data),
        )


def rows(services: Services, table: str) -> list[dict[str, Any]]:
    """What was written to a table, oldest first; nothing where there is none yet."""
    with _tables(services, table) as connection:
        try:
            found = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
        except sqlite3.OperationalError:
            return []
    return [{**dict(row), "data": json.loads(row["data"])} for row in found]
