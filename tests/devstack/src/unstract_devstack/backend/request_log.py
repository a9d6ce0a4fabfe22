"""The log of requests: collected in memory, written in batches, since there is one entry per request."""

import threading

from attrs import frozen

from unstract_devstack.backend.database import Database


@frozen
class Entry:
    """One request as it ended; status 0 where the connection was cut."""

    at: float
    method: str
    path: str
    organization: str | None
    key: str | None
    status: int
    seconds: float
    fault: str | None = None


class RequestLog:
    """Where requests are noted."""

    def __init__(self, database: Database, batch: int = 200) -> None:
        self._database = database
        self._batch = batch
        self._lock = threading.Lock()
        self._entries: list[Entry] = []

    def note(self, entry: Entry) -> bool:
        """Add one; True if it is time to flush."""
        with self._lock:
            self._entries.append(entry)
            return len(self._entries) >= self._batch

    def flush(self) -> None:
        """Write what has been collected."""
        with self._lock:
            entries, self._entries = self._entries, []
        if not entries:
            return
        rows = [(e.at, e.method, e.path, e.organization, e.key, e.status, e.seconds, e.fault) for e in entries]
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO requests (at, method, path, organization, key, status, seconds, fault)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
