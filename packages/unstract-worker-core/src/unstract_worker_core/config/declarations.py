"""How a setting is declared: once, at its field, with everything that is known about its variable."""

from collections.abc import Mapping
from typing import Any

from attrs import NOTHING, Attribute, field, fields, frozen

from unstract_worker_core.config.parsers import Parser, secret, signing_secret
from unstract_worker_core.statuses import WorkerType


@frozen
class Declaration:
    """The environment variables of one field.

    Attributes:
        names: the first that is set wins; may contain ``{TYPE}`` (worker type) and ``{PREFIX}`` (section).
        parse: makes the value of the text, or raises ValueError.
        purpose: what it is for, in the reference.
        secret: whether the value is kept out of sight and may come from a file (``X_FILE``).
        shown: the default as the reference prints it, where it is computed.
        development: default in development, where it differs.
        per_worker: defaults by worker type, where they differ.
    """

    names: tuple[str, ...]
    parse: Parser
    purpose: str
    secret: bool = False
    shown: str = ""
    development: object = None
    per_worker: Mapping[WorkerType, object] = field(factory=dict)


def env(
    names: str,
    parse: Parser,
    purpose: str,
    *,
    default: object = NOTHING,
    holds_secret: bool = False,
    shown: str = "",
    development: object = None,
    per_worker: Mapping[WorkerType, object] | None = None,
) -> Any:
    """A field that is read from the environment.

    Args:
        names: of the variables, separated by spaces.
        default: a value or an attrs Factory; without one the variable is required.
        holds_secret: for a parser whose value contains a secret without being one.
    """
    declaration = Declaration(
        tuple(names.split()),
        parse,
        purpose,
        holds_secret or parse in (secret, signing_secret),
        shown,
        development,
        per_worker or {},
    )
    return field(default=default, metadata={"env": declaration})


def celery(setting: str) -> str:
    """The names of a setting of Celery: for one worker type, and for all."""
    return f"{{TYPE}}_{setting} CELERY_{setting}"


def declarations(cls: Any) -> tuple[tuple["Attribute[Any]", Declaration], ...]:
    """The declared fields of a section, in their order."""
    return tuple((attribute, attribute.metadata["env"]) for attribute in fields(cls) if "env" in attribute.metadata)
