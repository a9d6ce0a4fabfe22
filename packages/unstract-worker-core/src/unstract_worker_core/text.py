"""Text that others sent, made fit for one line of a log, a table, an error column of the backend, or UTF-8 at all."""

import re
from typing import Any

_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def one_line(text: str, limit: int = 256) -> str:
    """The text printable and in one line, cut with an ellipsis to at most `limit` characters."""
    printable = (character if character.isprintable() else " " for character in text[: 16 * limit])
    flat = " ".join("".join(printable).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def has_escaped_halves(json_text: str) -> bool:
    """Whether JSON text may hold half of a surrogate pair, which it can only as an escape."""
    return _ESCAPED_HALF.search(json_text) is not None


def replace_halves(value: Any) -> Any:
    """Decoded JSON with each half of a surrogate pair replaced by U+FFFD: neither Redis nor UTF-8 can hold a half."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {replace_halves(key): replace_halves(member) for key, member in value.items()}
    if isinstance(value, list):
        return [replace_halves(member) for member in value]
    return value
