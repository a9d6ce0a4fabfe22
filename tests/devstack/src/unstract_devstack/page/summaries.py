"""What was extracted from files, in a few words each."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attrs import define, field

NEWEST = """
SELECT file_execution_id, MAX(id) AS id FROM results WHERE execution_id = ? GROUP BY file_execution_id
"""
EXTRACTED = """
SELECT id, json_extract(result, '$.output.fields') AS fields, json_array_length(result, '$.output.rows') AS rows,
    length(json_extract(result, '$.output.text')) AS characters
FROM results WHERE json_valid(result) AND id IN
"""
AT_A_TIME = 500
WORDS = 300


@define
class Summaries:
    """Summaries by the id of the result. Its row never changes and may be megabytes, so each is read once."""

    keep: int = 10_000
    _known: dict[int, str] = field(factory=dict, init=False, repr=False)

    def of(self, connection: sqlite3.Connection, execution_id: str, files: Sequence[str]) -> dict[str, str]:
        """The summaries of these files, by file; what has no readable result is not in it."""
        wanted = set(files)
        newest = {row[0]: int(row[1]) for row in connection.execute(NEWEST, (execution_id,)) if row[0] in wanted}
        if len(self._known) > self.keep:
            self._known = {}
        known = self._known
        known.update(_read(connection, [number for number in newest.values() if number not in known]))
        return {file: known[number] for file, number in newest.items()}


def _read(connection: sqlite3.Connection, numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
    for start in range(0, len(numbers), AT_A_TIME):
        some = numbers[start : start + AT_A_TIME]
        found = dict.fromkeys(some, "")
        for row in connection.execute(f"{EXTRACTED} ({', '.join('?' * len(some))})", some):
            found[row["id"]] = _summary(row)
        yield from found.items()


def _summary(extracted: sqlite3.Row) -> str:
    parts = [f"{name} {_told(value)}" for name, value in _object(extracted["fields"]).items()]
    if extracted["rows"]:
        parts.append(f"{extracted['rows']} rows")
    elif extracted["characters"] and not parts:
        parts.append(f"{extracted['characters']} characters of text")
    value = ", ".join(parts)
    return value if len(value) <= WORDS else f"{value[:WORDS]}…"


def _object(text: Any) -> Mapping[str, Any]:
    """The object in `text`; SQLite gives a JSON string without its quotes, and a number as one."""
    try:
        value = json.loads(text or "{}")
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
