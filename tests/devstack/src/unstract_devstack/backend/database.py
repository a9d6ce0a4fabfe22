"""SQLite behind the reference backend: a connection per thread, one writer at a time, rows typed by their columns."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("schema.sql")
Row = sqlite3.Row


def pick(row: Row, names: str) -> dict[str, Any]:
    """These columns of a row."""
    return {name: row[name] for name in names.split()}


def given(**values: Any) -> dict[str, Any]:
    """The values that are there: None and an empty text filter nothing."""
    return {name: value for name, value in values.items() if value not in (None, "")}


def zulu_now() -> str:
    """Now, as serialized rows show times: 2026-05-05T17:03:34.120000Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def with_offset(text: str) -> str:
    """A time as hand-made answers show it: 2026-05-05T17:03:34.120000+00:00."""
    return text.removesuffix("Z") + "+00:00"


class _Connections(threading.local):
    """A connection for each thread; all are in `opened`."""

    def __init__(self, path: Path, opened: list[sqlite3.Connection]) -> None:
        self.own = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, detect_types=sqlite3.PARSE_DECLTYPES
        )
        self.own.row_factory = Row
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "busy_timeout=30000", "temp_store=MEMORY"):
            self.own.execute(f"PRAGMA {pragma}")
        opened.append(self.own)


class Database:
    """One SQLite file in WAL mode. BOOLEAN columns hold bools, JSON columns what their text says.

    Writers queue on a lock of this process rather than on SQLite's busy handler, which sleeps in steps.
    ``synchronous=OFF``: a kill of the process loses nothing, a power cut may.
    """

    def __init__(self, path: Path) -> None:
        sqlite3.register_converter("BOOLEAN", lambda value: value != b"0")
        sqlite3.register_converter("JSON", json.loads)
        for kind in (dict, list):
            sqlite3.register_adapter(kind, json.dumps)
        self.path = path
        self._opened: list[sqlite3.Connection] = []
        self._connections = _Connections(path, self._opened)
        self._writer = threading.RLock()
        self.connection().executescript(SCHEMA.read_text(encoding="utf-8"))

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        return self._connections.own

    def all(self, query: str, *values: Any) -> list[Row]:
        """All rows of the answer."""
        return self.connection().execute(query, values).fetchall()

    def find(
        self, table: str, order: str = "1", statuses: Sequence[str] = (), after: int | None = None, /, **where: Any
    ) -> list[Row]:
        """The rows with these values, with one of these statuses if there are any, and beyond this id."""
        wanted = [f"{column} IS ?" for column in where]
        if statuses:
            wanted.append(f"status IN ({', '.join('?' * len(statuses))})")
        if after is not None:
            wanted.append("id > ?")
        query = f"SELECT * FROM {table} WHERE {' AND '.join(wanted) or '1'} ORDER BY {order}"
        return self.all(query, *where.values(), *statuses, *([] if after is None else [after]))

    def get(self, table: str, /, **where: Any) -> Row | None:
        """The first row with these values."""
        return next(iter(self.find(table, **where)), None)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction; inside another one of the same thread a part of that one."""
        connection = self.connection()
        with self._writer:
            connection.execute("SAVEPOINT part")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK TO part")
                raise
            finally:
                connection.execute("RELEASE part")

    def insert(self, table: str, **values: Any) -> None:
        """Add one row."""
        query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
        with self.write() as connection:
            connection.execute(query, tuple(values.values()))

    def add(self, table: str, **values: Any) -> str:
        """The id of a new row, which is made here if it is not given."""
        row_id = str(values.setdefault("id", str(uuid.uuid4())))
        self.insert(table, **values)
        return row_id

    def update(self, table: str, row_id: str, **values: Any) -> None:
        """Write these columns of one row."""
        columns = ", ".join(f"{name} = ?" for name in values)
        with self.write() as connection:
            connection.execute(f"UPDATE {table} SET {columns} WHERE id = ?", (*values.values(), row_id))

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
        for connection in self._opened:
            connection.close()
