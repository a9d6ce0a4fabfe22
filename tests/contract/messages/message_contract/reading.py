"""Reads examples of another release with the installed packages, as a worker would."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from message_contract.catalogue import MODELS, distribution_of, found_models
from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError

__all__ = ["reading_faults"]

Specimens = Mapping[str, Sequence[Mapping[str, Any]]]


def reading_faults(specimens: Specimens, installed: Sequence[str], *, newer: bool) -> Iterator[str]:
    """What cannot be read, or is read as something else; each line names the field.

    Args:
        specimens: by the name of the schema, the one with the least fields first.
        installed: distributions that are there.
        newer: a newer version wrote them. What it has of its own may be unknown here, but what is known here must be
            there; of an older version it is the other way round.
    """
    models = dict(found_models())
    for name, examples in specimens.items():
        if name not in models:
            if not newer and (name not in MODELS or distribution_of(name) in installed):
                yield f"{name}: is not known to this version"
            continue
        for example in examples:
            yield from _faults(name, models[name], example)
        if newer:
            yield from _unwritten(name, models[name], examples[-1])


def _faults(name: str, model: type, example: Mapping[str, Any]) -> Iterator[str]:
    try:
        found: Any = serialization.structure(dict(example), model)
    except MessageError as error:
        yield f"{name}: {error}"
        return
    for field in attrs.fields(model):
        if field.name in example and not _same(getattr(found, field.name), example[field.name]):
            yield f"{name}.{field.name}: read as something else than what was written"


def _unwritten(name: str, model: type, whole: Mapping[str, Any]) -> Iterator[str]:
    for field in attrs.fields(model):
        if field.name not in whole:
            yield f"{name}.{field.name}: no longer written, and read as its default"


def _same(found: Any, said: Any) -> bool:
    if attrs.has(type(found)):
        return isinstance(said, dict) and all(
            _same(getattr(found, key), value) for key, value in said.items() if hasattr(found, key)
        )
    if isinstance(found, tuple):
        return len(found) == len(said) and all(_same(one, other) for one, other in zip(found, said, strict=True))
    return bool(found == said)
