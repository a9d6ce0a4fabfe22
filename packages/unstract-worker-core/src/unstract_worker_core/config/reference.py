"""The reference of all variables, generated from the declarations that they are read by."""

from typing import Any

from attrs import NOTHING, Attribute, frozen

from unstract_worker_core.config import sections
from unstract_worker_core.config.declarations import Declaration, declarations
from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT
from unstract_worker_core.config.parsers import Secret
from unstract_worker_core.config.settings import Settings
from unstract_worker_core.config.urls import BrokerSource, ChordSource

_SECTIONS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (sections.BackendSettings, ("",)),
    (BrokerSource, ("",)),
    (sections.RedisSettings, ("REDIS_", "CACHE_REDIS_")),
    (Settings, ("",)),
    (sections.LedgerSettings, ("",)),
    (sections.ProcessSettings, ("",)),
    (sections.LoggingSettings, ("",)),
    (sections.FileSettings, ("",)),
    (sections.ExecutorSettings, ("",)),
    (sections.WebhookSettings, ("",)),
    (sections.TrafficSettings, ("",)),
    (sections.TracingSettings, ("",)),
    (ChordSource, ("",)),
)


@frozen
class Variable:
    """One line of the reference."""

    name: str
    default: str
    purpose: str
    secret: bool
    alternatives: tuple[str, ...] = ()


def describe_variables() -> tuple[Variable, ...]:
    """Every variable that has an effect, section by section; ``{TYPE}`` stands for the worker type."""
    return tuple(
        _described(attribute, declaration, prefix)
        for section, prefixes in _SECTIONS
        for prefix in prefixes
        for attribute, declaration in declarations(section)
    )


def _described(attribute: "Attribute[Any]", declaration: Declaration, prefix: str) -> Variable:
    first, *rest = (name.replace("{PREFIX}", prefix) for name in declaration.names)
    default = declaration.shown or _shown(attribute.default)
    if prefix == "CACHE_REDIS_":
        default = f"`{first.removeprefix('CACHE_')}`"
    if declaration.per_worker:
        default = ", ".join((default, *(f"{worker} {value}" for worker, value in declaration.per_worker.items())))
    if declaration.development is not None:
        default = f"{default}; in development {_shown(declaration.development)}"
    return Variable(first, default, declaration.purpose, declaration.secret, tuple(rest))


def _shown(value: object) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return str(value).lower()
        case Secret():
            return "a known key"
        case float():
            return f"{value:g}"
        case tuple():
            return ",".join(str(item) for item in value)
        case _:
            return "required" if value is NOTHING else str(value)


_INTRODUCTION = """# Environment of the workers

Generated from the settings' declarations (`unstract_worker_core.config.environment_page`); do not edit by hand.

`{TYPE}` is API_DEPLOYMENT, GENERAL, FILE_PROCESSING or CALLBACK. Of several names the first
that is set wins. An empty value counts as unset. Times are seconds. A secret X may come from a file: X_FILE.
"""


def environment_page() -> str:
    """The whole reference as Markdown: variables with an effect, then those that are accepted without one."""
    lines = [_INTRODUCTION, "| variable | default | what for |", "| --- | --- | --- |"]
    for entry in describe_variables():
        names = ", ".join(f"`{name}`" for name in (entry.name, *entry.alternatives))
        lines.append(f"| {names} | {entry.default} | {entry.purpose}{' (secret)' if entry.secret else ''} |")
    lines += [
        "",
        "## Accepted without effect",
        "",
        "A warning at the start names each one that is set. `*_X` is `CELERY_X` and `{TYPE}_X`.",
        "",
    ]
    lines += ["| variable | why |", "| --- | --- |"]
    for ignored in ACCEPTED_WITHOUT_EFFECT:
        lines.append(f"| {', '.join(f'`{name}`' for name in ignored.names)} | {ignored.reason} |")
    return "\n".join(lines) + "\n"
