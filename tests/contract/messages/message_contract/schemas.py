"""JSON Schemas of the models, from their annotations and defaults."""

import types
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs

from message_contract.catalogue import name_of

__all__ = ["Schema", "schema_of"]

Schema = dict[str, Any]

_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", types.NoneType: "null"}


def schema_of(model: type) -> Schema:
    """The schema of one attrs model.

    A field at its default is not written, and read from its absence: so the default is part of the contract.
    """
    hints = get_type_hints(model)
    properties: dict[str, Schema] = {}
    required = []
    for field in attrs.fields(model):
        properties[field.name] = _type(hints[field.name])
        if field.default is attrs.NOTHING:
            required.append(field.name)
        else:
            properties[field.name] |= {"default": _default(field.default)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": model.__name__,
        "type": "object",
        "required": required,
        "properties": properties,
    }


def _type(hint: Any) -> Schema:
    if hint is Any:
        return {}
    if hint in _PLAIN:
        return {"type": _PLAIN[hint]}
    if isinstance(hint, type) and get_origin(hint) is None:
        return _of_class(hint)
    return _of_parts(hint, get_args(hint))


def _of_class(hint: type) -> Schema:
    if issubclass(hint, StrEnum):
        return {"type": "string", "enum": [each.value for each in hint]}
    if attrs.has(hint):
        return {"$ref": f"{name_of(hint)}.json"}
    raise _unreadable(hint)


def _of_parts(hint: Any, parts: tuple[Any, ...]) -> Schema:
    if get_origin(hint) in (Union, types.UnionType):
        return {"anyOf": [_type(each) for each in parts]}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _type(parts[0])}
    if get_origin(hint) is dict:
        return {"type": "object", "additionalProperties": _type(parts[1])}
    raise _unreadable(hint)


def _unreadable(hint: Any) -> TypeError:
    return TypeError(f"no worker of another version can be expected to read {hint!r}")


def _default(default: Any) -> Any:
    # The annotation of attrs' Factory is wider than what our models use: no factory of theirs takes the instance.
    value = default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
    return list(value) if isinstance(value, tuple) else value
