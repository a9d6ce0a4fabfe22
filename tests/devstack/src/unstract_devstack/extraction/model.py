"""What goes into an extraction and what comes out of it."""

import re
from typing import Any

from attrs import field, frozen

SUMMARY_CHARACTERS = 300


class ExtractionError(Exception):
    """The file gives no result. `reason` says why, in words for the person who sent it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@frozen
class Field:
    """One value to look for: by `pattern` (regular expression over the text), by `key`, or by both in that order.

    A pattern gives its first group, or the whole match. A key is a dotted path in JSON, a column of a table,
    or the label of a `Label: value` line. Raises ValueError where neither is given, or the pattern is none.
    """

    name: str
    pattern: str | None = None
    key: str | None = None

    def __attrs_post_init__(self) -> None:
        if not self.name:
            raise ValueError("a field needs a name")
        if self.pattern is None and self.key is None:
            raise ValueError(f"field {self.name!r} needs a pattern or a key")
        try:
            re.compile(self.pattern or "")
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"field {self.name!r}: not a regular expression: {error}") from error


@frozen
class Extraction:
    """The result for one file.

    Attributes:
        text: the full text, or None where `rows` hold everything.
        rows: the rows of a table or of a JSON list, column name to value; else None.
        value: the value of a JSON document that is no list, else None.
        fields: the fields that were found, by name; those not found are absent.
        pages: number of pages of a PDF, else None.
    """

    text: str | None
    rows: tuple[dict[str, Any], ...] | None = None
    fields: dict[str, Any] = field(factory=dict)
    pages: int | None = None
    value: Any = None

    def as_output(self) -> dict[str, Any]:
        """The JSON object to hand to the caller; what does not apply is left out."""
        rows = None if self.rows is None else [dict(row) for row in self.rows]
        parts = {"text": self.text, "rows": rows, "value": self.value, "pages": self.pages}
        return {"fields": dict(self.fields), **{name: part for name, part in parts.items() if part is not None}}

    @property
    def summary(self) -> str:
        """What was extracted, in a few words for people."""
        found = self.fields.items()
        parts = [f"{name} {', '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in found]
        if self.rows:
            parts.append(f"{len(self.rows)} rows")
        elif self.text and not parts:
            parts.append(f"{len(self.text)} characters of text")
        text = ", ".join(parts)
        return text if len(text) <= SUMMARY_CHARACTERS else f"{text[:SUMMARY_CHARACTERS]}…"
