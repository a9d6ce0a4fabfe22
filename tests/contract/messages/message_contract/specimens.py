"""Examples of what is written: each with all fields, away from their defaults, and once with the least."""

from collections.abc import Mapping
from typing import Any

from message_contract.schemas import Schema

__all__ = ["specimens_of"]

_VALUES: dict[str, Any] = {"string": "text", "integer": 7, "number": 1.5}


def specimens_of(name: str, schemas: Mapping[str, Schema]) -> list[dict[str, Any]]:
    """One with the least fields; one with all, and further ones until every word of an enumeration was said."""
    schema = schemas[name]
    rounds = max([1, *(_words(field) for field in schema["properties"].values())])
    whole = [_whole(schema, schemas, number) for number in range(rounds)]
    return [{field: whole[0][field] for field in schema["required"]}, *whole]


def _whole(schema: Schema, schemas: Mapping[str, Schema], number: int) -> dict[str, Any]:
    return {field: _value(said, schemas, number) for field, said in schema["properties"].items()}


def _value(said: Schema, schemas: Mapping[str, Schema], number: int) -> Any:
    if "$ref" in said:
        return _whole(schemas[said["$ref"].removesuffix(".json")], schemas, number)
    if "anyOf" in said:
        return _value(next(each for each in said["anyOf"] if each.get("type") != "null"), schemas, number)
    if said.get("type") == "array":
        return [_value(said["items"], schemas, number)]
    if said.get("type") == "object":
        return {"key": _value(said["additionalProperties"], schemas, number)}
    return _single(said, number)


def _single(said: Schema, number: int) -> Any:
    if "enum" in said:
        return said["enum"][number % len(said["enum"])]
    if said.get("type") == "boolean":
        return not said.get("default", False)
    return _VALUES.get(said.get("type", ""), {"any": [1, None, "text"]})


def _words(said: Schema) -> int:
    return max(len(each.get("enum", ())) for each in (said, *said.get("anyOf", ())))
