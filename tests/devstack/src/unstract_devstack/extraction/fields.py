"""The declarative extraction: values by pattern or by key."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from unstract_devstack.extraction.model import Content, Field

# Patterns come from the workflow's author, texts from anybody: a bounded text keeps a clumsy pattern affordable.
MAX_SEARCHED_CHARACTERS = 200_000


def find_fields(content: Content, fields: Sequence[Field]) -> dict[str, Any]:
    """The values found, by field name; a field that is nowhere is left out."""
    found = ((field.name, _find(content, field)) for field in fields)
    return {name: value for name, value in found if value is not None}


def _find(content: Content, field: Field) -> Any:
    value = _by_pattern(content.text, field.pattern) if field.pattern is not None else None
    if value is None and field.key is not None:
        return _by_key(content, field.key)
    return value


def _by_pattern(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text[:MAX_SEARCHED_CHARACTERS])
    if match is None:
        return None
    value: str | None = match.group(1) if match.re.groups else match.group(0)
    return value.strip() if value is not None else None


def _by_key(content: Content, key: str) -> Any:
    if content.value is not None and not isinstance(content.value, list):
        return _at(content.value, key.split("."))
    if content.rows is not None:
        values = [_at(row, [key]) if key in row else _at(row, key.split(".")) for row in content.rows]
        present = [value for value in values if value is not None]
        return present or None
    return _labelled(content.text, key)


def _at(value: Any, path: Sequence[str]) -> Any:
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and step.isascii() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _labelled(text: str, label: str) -> str | None:
    line = re.compile(rf"^[ \t]*{re.escape(label)}[ \t]*:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
    match = line.search(text[:MAX_SEARCHED_CHARACTERS])
    return match.group(1).strip() if match else None
