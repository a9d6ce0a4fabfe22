"""Checks of single fields where a message enters: what passes can be logged, stored and read by Lua."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from attrs import AttrsInstance, define, fields

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import opaque_id

T = TypeVar("T", bound=AttrsInstance)

_TEXT_LIMIT = 512
_DEEPEST = 64
_SIZE_LIMIT = 8 * 2**20
_WIDEST_INTEGER = 1024  # bits
# Controls, lone surrogates, line and paragraph separators. Other blanks occur in file names.
_BREAKS_A_LINE = ("Cc", "Cs", "Zl", "Zp")


def is_one_line(text: str) -> bool:
    """Whether the text is Unicode that stays in one log line."""
    return text.isprintable() or all(unicodedata.category(char) not in _BREAKS_A_LINE for char in text)


def named(args: Sequence[object], kwargs: Mapping[str, object], order: Sequence[str]) -> dict[str, object]:
    """A task's arguments by name; `order`: of the positional ones. Raises MessageError for too many of them."""
    if len(args) > len(order):
        raise MessageError(f"expected at most {len(order)} arguments, got {len(args)}", field="args")
    return dict(zip(order, args, strict=False)) | dict(kwargs)


def optional_id(value: object, *, field: str) -> str | None:
    """An id that producers leave out as null, as empty text or as the text "None". Raises MessageError."""
    if value is None or value in ("", "None"):
        return None
    return opaque_id(value, field=field)


def optional_text(value: object, *, field: str) -> str | None:
    """A short text; null and empty mean the same. Raises MessageError."""
    if value is None or value == "":
        return None
    text = str(value) if isinstance(value, UUID) else value
    if not isinstance(text, str) or len(text) > _TEXT_LIMIT or not is_one_line(text):
        raise MessageError("not a short printable text", field=field)
    return text


def optional_object(value: object, *, field: str) -> dict[str, Any] | None:
    """An object of any shape, as plain JSON. Raises MessageError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MessageError(f"expected object, got {type(value).__name__}", field=field)
    return dict(plain(value, field=field))


def flag(value: object, *, field: str, default: bool) -> bool:
    """A bool; null means the default. Raises MessageError."""
    if value is None:
        return default
    if not isinstance(value, bool):
        raise MessageError(f"expected bool, got {type(value).__name__}", field=field)
    return value


def read(value: object, cls: type[T], *, field: str) -> T:
    """An attrs object of the fields that `cls` knows; the others are dropped unread. Raises MessageError."""
    if not isinstance(value, Mapping):
        raise MessageError(f"expected object, got {type(value).__name__}", field=field)
    names = (part.name for part in fields(cls) if part.name in value)
    return serialization.structure({name: plain(value[name], field=f"{field}.{name}") for name in names}, cls)


def plain(value: object, *, field: str) -> Any:
    """A copy of a value of no fixed shape, in plain JSON types; UUIDs become text.

    Raises MessageError for what JSON, Redis or Lua cannot hold: NaN and infinities, lone surrogates,
    endless integers, types of Python's own, nesting beyond 64 levels, more than about 8 MiB.
    """
    return _Copy(field).of(value, 0)


@define
class _Copy:
    field: str
    size: int = 0

    def of(self, value: object, depth: int) -> Any:
        self._count(8)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str | UUID):
            return self._text(str(value))
        if isinstance(value, int | float):
            fits = value.bit_length() <= _WIDEST_INTEGER if isinstance(value, int) else math.isfinite(value)
            return self._number(value, fits=fits)
        if depth >= _DEEPEST:
            raise MessageError("nested too deeply", field=self.field)
        if isinstance(value, dict):
            return {self._key(key): self.of(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(entry, depth + 1) for entry in value]
        raise MessageError(f"{type(value).__name__} is not JSON", field=self.field)

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise MessageError("a key that is not text", field=self.field)
        return self._text(key)

    def _text(self, text: str) -> str:
        self._count(len(text))
        try:
            text.encode()
        except UnicodeEncodeError:
            raise MessageError("text that is not Unicode", field=self.field) from None
        return text

    def _number(self, number: float, *, fits: bool) -> float:
        if not fits:
            raise MessageError("a number that is not finite or too large", field=self.field)
        return number

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > _SIZE_LIMIT:
            raise MessageError("too large", field=self.field)
