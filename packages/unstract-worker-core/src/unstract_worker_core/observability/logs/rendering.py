"""The two forms of a log line. Whatever a value holds, it cannot end its line or start another."""

import json
from collections.abc import MutableMapping
from typing import Any

__all__ = ["console_line", "json_line"]

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=repr)
_BLOCKS = ("exception", "stack")


def json_line(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """One JSON object, ASCII only, keys sorted."""
    return _ENCODER.encode(event)


def console_line(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    """For reading. Tracebacks follow their record, indented, so that no line of one passes for a record."""
    blocks = [str(event.pop(key)) for key in _BLOCKS if event.get(key)]
    head = [str(event.pop(key, "")) for key in ("timestamp", "level", "event")]
    fields = [f"{key}={event[key]}" for key in sorted(event)]
    line = f"{head[0]} {head[1]:<8} {printable(' '.join((head[2], *fields)))}"
    return "\n".join((line, *(f"    {printable(text)}" for block in blocks for text in block.splitlines())))


def printable(text: str) -> str:
    """The text with each control character written as its escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
