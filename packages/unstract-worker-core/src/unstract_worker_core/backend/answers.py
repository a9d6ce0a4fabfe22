"""Answers that are JSON: parsed strictly, read by path, turned into models.

Nothing of a body is ever put into an error; the path of the field that is wrong is.
"""

import json
import math
from typing import Any, TypeVar

from attrs import field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError, UnexpectedAnswer

# What json.loads gives; models narrow it.
Json = Any
T = TypeVar("T")
_LONGEST_INTEGER = 20
_BLANKS = " \t\n\r"


class NotJson(Exception):
    """The body is not JSON that is fit to be read; the message says why, without the body."""


def parse(body: bytes) -> Json:
    """JSON from bytes. Raises NotJson, also for what json.loads lets pass: NaN, repeated keys, endless integers."""
    try:
        text = body.decode("utf-8").strip(_BLANKS)
        value, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise ValueError("something follows")
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair fits nowhere
    except UnicodeError:
        raise NotJson("text that is not Unicode") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError:
        raise NotJson("empty body" if not body.strip() else "not JSON") from None
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("an object with a repeated key")
    return members


def _constant(name: str) -> Json:
    raise NotJson(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_INTEGER:
        raise NotJson(f"an integer of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotJson("a number beyond all bounds")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)


@frozen
class Answer:
    """An answer that the contract allows, still to be read."""

    operation: str
    status: int
    request_id: str
    body: Json = field(repr=False)

    def member(self, *path: str) -> Json:
        """The value at a path of object keys. Raises UnexpectedAnswer where it is missing."""
        value = self.body
        try:
            for name in path:
                value = value[name]
        except (KeyError, TypeError):  # TypeError: what should have members is no object
            raise self._missing(path) from None
        return value

    def _missing(self, path: tuple[str, ...]) -> UnexpectedAnswer:
        value, depth = self.body, 1
        for name in path:
            if not isinstance(value, dict) or name not in value:
                break
            value, depth = value[name], depth + 1
        return self.unexpected(f"{'.'.join(path[:depth])}: missing")

    def object(self, *path: str) -> dict[str, Json]:
        """The object at a path."""
        value = self.member(*path)
        if not isinstance(value, dict):
            raise self.unexpected(f"{'.'.join(path) or 'body'}: not an object")
        return value

    def items(self, *path: str) -> list[Json]:
        """The list at a path."""
        value = self.member(*path)
        if not isinstance(value, list):
            raise self.unexpected(f"{'.'.join(path) or 'body'}: not a list")
        return value

    def number(self, *path: str) -> int:
        """The integer at a path."""
        value = self.member(*path)
        if type(value) is not int:
            raise self.unexpected(f"{'.'.join(path)}: not an integer")
        return value

    def one(self, cls: type[T], value: Json) -> T:
        """A model from a part of the body."""
        try:
            return serialization.structure(value, cls)
        except MessageError as error:
            raise self.unexpected(f"{error.field}: {error.reason}") from None

    def many(self, cls: type[T], values: list[Json]) -> tuple[T, ...]:
        """Models from a list in the body."""
        return tuple(self.one(cls, value) for value in values)

    def unexpected(self, reason: str) -> UnexpectedAnswer:
        """The error that says what is wrong with this answer."""
        return UnexpectedAnswer(reason, endpoint=self.operation, status=self.status, request_id=self.request_id)
