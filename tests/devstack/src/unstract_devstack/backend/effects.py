"""The log of applied effects: what a checker counts."""

import json
import sqlite3
from typing import Any

from unstract_devstack.backend.timestamps import now


def record(
    connection: sqlite3.Connection,
    operation: str,
    *,
    organization: str | None,
    key: str | None,
    execution_id: str | None = None,
    file: str | None = None,
    **detail: Any,
) -> None:
    """Note one effect, inside the transaction that applies it."""
    connection.execute(
        "INSERT INTO effects (at, operation, organization, execution_id, file, key, detail)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (now(), operation, organization, execution_id, file, key, json.dumps(detail, default=str)),
    )
