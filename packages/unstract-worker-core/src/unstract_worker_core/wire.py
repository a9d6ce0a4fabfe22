"""JSON in and out: one cattrs converter for messages and ledger records.

Reading is tolerant of what is new (unknown fields are ignored, missing ones defaulted) and strict about what is
there: a string is never read from a number, nor a number from a string. Errors name the path of the field.
"""

import json
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar, get_origin

from attrs import has
from cattrs import BaseConverter, Converter, transform_error
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError
from cattrs.gen import make_dict_unstructure_fn

from unstract_worker_core.errors import MessageError

__all__ = ["decode", "dumps", "encode", "loads", "structure", "unstructure"]

T = TypeVar("T")


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


def _build() -> Converter:
    converter = Converter(detailed_validation=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_factory(_is_sequence, _sequence_factory)
    converter.register_unstructure_hook_factory(
        has, lambda cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True)
    )
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
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def loads(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities are refused. Raises MessageError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        raise MessageError("not valid JSON") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond all bounds is not JSON")
    return number


def encode(value: object) -> str:
    """An attrs object as JSON text."""
    return dumps(unstructure(value))


def decode(text: str | bytes, cls: type[T]) -> T:
    """An attrs object from JSON text. Raises MessageError."""
    return structure(loads(text), cls)
