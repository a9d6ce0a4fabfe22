"""Manifests as YAML: block style, every scalar as JSON, which is YAML too: no quoting can be wrong."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["yaml_of"]

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def yaml_of(documents: Iterable[dict[str, Any]]) -> str:
    """The documents, with ``---`` between them."""
    return "\n---\n".join("\n".join(_lines(document, "")) for document in documents)


def _lines(value: dict[str, Any] | list[Any], indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            name = key if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NOT_TEXT else json.dumps(key)
            if isinstance(item, dict | list) and item:
                yield f"{indent}{name}:"
                yield from _lines(item, indent + "  ")
            else:
                yield f"{indent}{name}: {json.dumps(item)}"
        return
    for item in value:
        if isinstance(item, dict | list) and item:
            first, *others = _lines(item, indent + "  ")
            yield f"{indent}- {first.lstrip()}"
            yield from others
        else:
            yield f"{indent}- {json.dumps(item)}"
