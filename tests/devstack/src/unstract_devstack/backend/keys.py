"""Idempotency keys of the keyed mode: a key is applied once, and its answer replayed to every repeat."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field

from unstract_devstack.backend.database import Database
from unstract_devstack.backend.wire import Reply, Request


@define
class Held:
    """The lock of one key and how many requests want it."""

    lock: threading.Lock = field(factory=threading.Lock)
    wanted: int = 0


class KeyedAnswers:
    """The answers already given, and a lock per key while one is being worked out."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._held: dict[str, Held] = {}

    @staticmethod
    def scope(request: Request) -> str:
        """A key counts for one operation on one object."""
        return f"{request.method} {request.path} {request.key}"

    @contextmanager
    def holding(self, scope: str) -> Iterator[None]:
        """While inside, no other request with this key is worked on."""
        with self._guard:
            held = self._held.setdefault(scope, Held())
            held.wanted += 1
        try:
            with held.lock:
                yield
        finally:
            with self._guard:
                held.wanted -= 1
                if held.wanted == 0:
                    del self._held[scope]

    def known(self, scope: str) -> Reply | None:
        """The answer given before, if any."""
        row = self._database.one("SELECT status, body, content_type FROM idempotency_keys WHERE scope = ?", (scope,))
        return Reply(row["status"], row["body"], row["content_type"]) if row else None

    @staticmethod
    def remember(connection: sqlite3.Connection, scope: str, answer: Reply) -> None:
        """Keep an answer, inside the transaction that applies its effect. Only successes are kept."""
        if answer.status < 300:
            connection.execute(
                "INSERT OR IGNORE INTO idempotency_keys (scope, status, content_type, body) VALUES (?, ?, ?, ?)",
                (scope, answer.status, answer.content_type, answer.body),
            )
