"""JSON documents: the value, and rows where it is a list."""

import json
import math
from typing import Any, NoReturn

from unstract_devstack.extraction.decoding import clean, decode
from unstract_devstack.extraction.model import Content, ExtractionError

MAX_DEPTH = 100


def read_json(data: bytes) -> Content:
    """The value of a JSON document.

    Raises:
        ExtractionError: not JSON (NaN and Infinity are not), or nested deeper than `MAX_DEPTH`.
    """
    text = decode(data)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError as error:
        raise ExtractionError(f"the JSON is nested deeper than {MAX_DEPTH} levels") from error
    except json.JSONDecodeError as error:
        raise ExtractionError(f"not valid JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    except ValueError as error:
        raise ExtractionError("not valid JSON: a number has too many digits") from error
    value = _cleaned(value, MAX_DEPTH)
    return Content(text=text, rows=_rows(value), value=value)


def _refuse_constant(name: str) -> NoReturn:
    raise ExtractionError(f"not valid JSON: {name} is not a JSON value")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ExtractionError("not valid JSON: a number is out of range")
    return number


def _cleaned(value: Any, depth: int) -> Any:
    if depth == 0:
        raise ExtractionError(f"the JSON is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item, depth - 1) for key, item in value.items()}
    return value


def _rows(value: Any) -> tuple[dict[str, Any], ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(item if isinstance(item, dict) else {"value": item} for item in value)
