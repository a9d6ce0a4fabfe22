"""JSON in and out: one cattrs converter for messages and ledger records; text from outside as one printable line.

Reading is tolerant of what is new (unknown fields are ignored, missing ones defaulted) and strict about what is
there: a string is never read from a number, nor a number from a string. Errors name the path of the field.
"""

import json
import math
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, get_origin

from attrs import fields, has, resolve_types
from cattrs import BaseConverter, Converter, transform_error
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError
from cattrs.gen import make_dict_unstructure_fn, override

from unstract_worker_core.errors import MessageError

_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
T = TypeVar("T")
_JSON = (Any, dict[str, Any], dict[str, Any] | None)
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def one_line(text: str, limit: int = 256) -> str:
    """The text printable and in one line, cut with an ellipsis to at most `limit` characters."""
    printable = (character if character.isprintable() else " " for character in text[: 16 * limit])
    flat = " ".join("".join(printable).split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def has_escaped_surrogates(json_text: str) -> bool:
    """Whether JSON text may contain a lone surrogate, which is possible only as an escape."""
    return _ESCAPED_HALF.search(json_text) is not None


def replace_surrogates(value: Any) -> Any:
    """Decoded JSON with each lone surrogate replaced by U+FFFD: neither Redis nor UTF-8 can hold one."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {replace_surrogates(key): replace_surrogates(member) for key, member in value.items()}
    if isinstance(value, list):
        return [replace_surrogates(member) for member in value]
    return value


class NotJson(ValueError):
    """Text that cannot be read as JSON; the message says why, without the text."""


def _exactly(kind: type) -> Callable[[object, type], Any]:
    def hook(value: object, wanted: type) -> object:
        if issubclass(wanted, StrEnum):  # cattrs looks hooks up along the MRO: str's comes first
            return _word(value, wanted)
        if type(value) is not kind:
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return hook


def _number(value: object, _: type) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise TypeError("expected finite number")
    return float(value)


def _word(value: object, kind: type[StrEnum]) -> StrEnum:
    if not isinstance(value, str) or value not in kind._value2member_map_:
        raise TypeError(f"expected one of {', '.join(kind)}")
    return kind(value)


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) is tuple


def _sequence_factory(kind: Any, converter: BaseConverter) -> Callable[[object, type], Any]:
    inner = homogenous_tuple_structure_factory(kind, converter)

    def hook(value: object, wanted: type) -> object:
        if not isinstance(value, list | tuple):
            raise TypeError(f"expected list, got {type(value).__name__}")
        return inner(value, wanted)

    return hook


def _unstructured(cls: type, converter: BaseConverter) -> Callable[[object], dict[str, Any]]:
    """As cattrs does it, but without walking through JSON that is only passed on."""
    resolve_types(cls)
    handed_on = [each.name for each in fields(cls) if each.type in _JSON]
    overrides: dict[str, Any] = {name: override(unstruct_hook=_as_it_is) for name in handed_on}
    return make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **overrides)


def _as_it_is(value: object) -> object:
    return value


def _build() -> Converter:
    converter = Converter(detailed_validation=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_sequence, _sequence_factory)
    converter.register_unstructure_hook_factory(has, lambda cls: _unstructured(cls, converter))
    return converter


_CONVERTER = _build()


def structure(value: object, cls: type[T]) -> T:
    """An attrs object of `cls` from decoded JSON. Raises MessageError naming the field, never its value."""
    if not isinstance(value, dict):
        raise MessageError(f"expected object, got {type(value).__name__}", field=cls.__name__)
    try:
        return _CONVERTER.structure(value, cls)
    except (BaseValidationError, StructureHandlerNotFoundError, TypeError, ValueError, KeyError) as error:
        raise _refusal(error, cls) from None


def _refusal(error: Exception, cls: type) -> MessageError:
    if not isinstance(error, BaseValidationError):
        return MessageError("cannot be read", field=cls.__name__)
    first = transform_error(error, path=cls.__name__, format_exception=_describe)[0]
    reason, _, path = first.rpartition(" @ ")
    return MessageError(reason, field=path)


def _describe(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    if isinstance(error, TypeError) and str(error).startswith("expected "):
        return str(error)
    return "invalid value"


def unstructure(value: object) -> Any:
    """Plain JSON types from an attrs object; fields at their default are left out."""
    return _CONVERTER.unstructure(value)


def dumps(value: object) -> str:
    """Compact JSON of plain types. Raises ValueError for NaN and infinities."""
    return _ENCODER.encode(value)


def loads(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities are refused, lone surrogates replaced. Raises MessageError."""
    try:
        decoded = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
        value = _DECODER.decode(decoded)
        return replace_surrogates(value) if has_escaped_surrogates(decoded) else value
    except (ValueError, RecursionError):
        raise MessageError("not valid JSON") from None


def refuse_constant(name: str) -> None:
    """For `json.JSONDecoder(parse_constant=)`. Raises NotJson."""
    raise NotJson(f"{name} is not JSON")


def finite(digits: str) -> float:
    """For `json.JSONDecoder(parse_float=)`. Raises NotJson."""
    number = float(digits)
    if not math.isfinite(number):
        raise NotJson("a number that is too large")
    return number


_DECODER = json.JSONDecoder(parse_constant=refuse_constant, parse_float=finite)


def encode(value: object) -> str:
    """An attrs object as JSON text."""
    return dumps(unstructure(value))


def decode(text: str | bytes, cls: type[T]) -> T:
    """An attrs object from JSON text. Raises MessageError."""
    return structure(loads(text), cls)
