"""SQLite behind the reference backend: a connection per thread, one writer at a time."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.sql")
Value = str | int | float | bytes | None
Row = sqlite3.Row


def pick(row: sqlite3.Row, names: str) -> dict[str, Any]:
    """These columns of a row."""
    return {name: row[name] for name in names.split()}


def matching(*wanted: tuple[str, Value]) -> tuple[str, list[Value]]:
    """A WHERE clause for columns that must have these values, and the values; None and an empty text match all."""
    given = [(column, value) for column, value in wanted if value not in (None, "")]
    clause = " AND ".join(f"{column} = ?" for column, _ in given) or "1 = 1"
    return f"WHERE {clause}", [value for _, value in given]


class Database:
    """One SQLite file in WAL mode.

    Writers queue on a lock of this process rather than on SQLite's busy handler, which sleeps in steps.
    ``synchronous=OFF``: a kill of the process loses nothing, a power cut may.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._writer = threading.RLock()
        self._opened: list[sqlite3.Connection] = []
        self._opening = threading.Lock()
        self.connection().executescript(SCHEMA.read_text(encoding="utf-8"))

    def connection(self) -> sqlite3.Connection:
        """This thread's connection, opened at its first use."""
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            return known
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=256)
        connection.row_factory = sqlite3.Row
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "busy_timeout=30000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        self._local.connection = connection
        self._local.depth = 0
        with self._opening:
            self._opened.append(connection)
        return connection

    def one(self, query: str, values: Sequence[Value] = ()) -> Row | None:
        """The first row of the answer, or None."""
        row: Row | None = self.connection().execute(query, values).fetchone()
        return row

    def all(self, query: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of the answer."""
        return self.connection().execute(query, values).fetchall()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; inside another one of the same thread a savepoint of that one."""
        connection = self.connection()
        with self._writer:
            depth: int = self._local.depth
            self._local.depth = depth + 1
            try:
                connection.execute(f"SAVEPOINT nested{depth}" if depth else "BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute(f"ROLLBACK TO nested{depth}" if depth else "ROLLBACK")
                    raise
                finally:
                    if depth:
                        connection.execute(f"RELEASE nested{depth}")
                if not depth:
                    connection.execute("COMMIT")
            finally:
                self._local.depth = depth

    def insert(self, table: str, **values: Any) -> None:
        """Add one row."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        with self.write() as connection:
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))

    def record(
        self,
        operation: str,
        *,
        organization: str | None = None,
        key: str | None = None,
        execution_id: str | None = None,
        file: str | None = None,
        **detail: Any,
    ) -> None:
        """Note one applied effect, which a checker counts; call it inside the transaction that applies it."""
        self.insert(
            "effects", at=time.time(), operation=operation, organization=organization, execution_id=execution_id,
            file=file, key=key, detail=json.dumps(detail, default=str),
        )  # fmt: skip

    def close(self) -> None:
        """Close every thread's connection; the threads must have ended."""
        with self._opening:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
