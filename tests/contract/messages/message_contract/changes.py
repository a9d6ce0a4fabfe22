"""Which changes of a schema a worker of another version cannot live with, and which field it is about.

Both directions count: within a major version an older worker reads what a newer one writes, and the other way round.
"""

from collections.abc import Iterator, Mapping

from message_contract.schemas import Schema

__all__ = ["name_faults", "schema_faults"]


def schema_faults(name: str, before: Schema, after: Schema) -> Iterator[str]:
    """One line for each field of `before` that is gone, retyped or read differently, and each new one without default."""
    old, new = before["properties"], after["properties"]
    for field, said in old.items():
        where = f"{name}.{field}"
        if field not in new:
            yield f"{where}: removed, older workers expect it"
            continue
        yield from _field_faults(where, said, new[field])
        if (field in before["required"]) != (field in after["required"]):
            yield f"{where}: left out by one version and required by the other (it had a default in one of them only)"
    for field in new:
        if field not in old and field in after["required"]:
            yield f"{name}.{field}: new and without a default, older workers do not write it"


def name_faults(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> Iterator[str]:
    """One line for each name that older workers use and newer ones no longer know."""
    for part, names in before.items():
        for name in names:
            if name not in after.get(part, ()):
                yield f"{part}: {name} is gone, older workers expect it"


def _field_faults(where: str, old: Schema, new: Schema) -> Iterator[str]:
    types = [{key: value for key, value in each.items() if key != "default"} for each in (old, new)]
    if types[0] != types[1]:
        yield f"{where}: retyped from {types[0]} to {types[1]}"
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield f"{where}: another default, {new['default']!r} and no longer {old['default']!r}: it is not written then"
