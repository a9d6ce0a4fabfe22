"""Idempotency keys of the keyed mode: a key is applied once, and its answer replayed to every repeat."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from starlette.responses import Response

from unstract_devstack.backend.database import Database


class KeyedAnswers:
    """The answers already given, and a lock per key while one is being worked out.

    A `scope` is a key for one operation on one object.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def holding(self, scope: str) -> Iterator[None]:
        """While inside, no other request with this key is worked on."""
        with self._guard:
            lock = self._locks.setdefault(scope, threading.Lock())
        with lock:
            yield

    def known(self, scope: str) -> Response | None:
        """The answer given before, if any."""
        row = self._database.one("SELECT status, body, content_type FROM idempotency_keys WHERE scope = ?", (scope,))
        return Response(row["body"], row["status"], media_type=row["content_type"]) if row else None

    @staticmethod
    def remember(connection: sqlite3.Connection, scope: str, answer: Response) -> None:
        """Keep an answer, inside the transaction that applies its effect. Only successes are kept."""
        if answer.status_code < 300:
            connection.execute(
                "INSERT OR IGNORE INTO idempotency_keys (scope, status, content_type, body) VALUES (?, ?, ?, ?)",
                (scope, answer.status_code, answer.media_type, bytes(answer.body)),
            )
