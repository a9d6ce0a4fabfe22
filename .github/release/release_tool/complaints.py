"""What workers wrote of trouble into their logs, each thing once: it names the field that could not be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["complaints_in"]

LEVELS = frozenset(("warning", "error", "critical"))
TELLING = ("reason", "error", "exception")
LIMIT = 20
WIDTH = 400


def complaints_in(folder: Path) -> Iterator[str]:
    """Warnings and errors in all `*.log` files below a folder, without repetitions, at most 20."""
    seen: set[str] = set()
    for file in sorted(folder.rglob("*.log")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            told = _complaint(line)
            if told is None or told in seen:
                continue
            seen.add(told)
            if len(seen) > LIMIT:
                return
            yield f"{file.stem}: {told}"


def _complaint(line: str) -> str | None:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("level") not in LEVELS:
        return None
    reason = next((str(record[key]) for key in TELLING if record.get(key)), "")
    return f"{record.get('event', '')}: {reason}"[:WIDTH]
