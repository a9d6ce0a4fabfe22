"""All variables, by the declarations that they are read by: their reference, and which name is close to one."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

from attrs import NOTHING, Attribute, frozen

from unstract_worker_core.config import sections
from unstract_worker_core.config.declarations import Declaration, declarations
from unstract_worker_core.config.obsolete import ACCEPTED_WITHOUT_EFFECT, CELERY_READS_ITSELF, expanded
from unstract_worker_core.config.parsers import Secret
from unstract_worker_core.config.settings import Settings
from unstract_worker_core.config.urls import BrokerSource, ChordSource
from unstract_worker_core.statuses import WorkerType

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
# Which variables of the process look like ours and are none: misspelt, or from another version.
_OURS = ("WORKER_", "CELERY_", *(f"{worker.value.upper()}_" for worker in WorkerType))
# Others use these beginnings too, so a name counts as misspelt only where it is close to one of ours.
_SHARED = (
    "ACTIVE_", "API_", "CACHE_", "CHORD_", "CIRCUIT_", "ENABLE_", "EXECUTION_", "FILE_", "INTERNAL_", "LOG", "MAX_",
    "RABBITMQ_", "REDIS_", "RESCUE_", "WEBHOOK_",
)  # fmt: skip
# How alike two names must be: with one of our beginnings, with a shared one, with any other (a typo in its first word).
_CLOSE_OURS, _CLOSE_SHARED, _CLOSE_OTHER = 0.8, 0.85, 0.9
# Close to a name of Celery's own, which has no effect either: this is the one that has.
_BROKER, _CELERYS_BROKER = "CELERY_BROKER_BASE_URL", tuple(name for name in CELERY_READS_ITSELF if "BROKER" in name)
_TYPO = 2  # letters that a typo adds or leaves out


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


def unknown_warnings(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A warning for each variable that is set and looks misspelt; names only, never values."""
    found = []
    for name in sorted(environ):
        if name in _known():
            continue
        close = _meant(name)
        if close:
            found.append(f"{name} is not known and has no effect; did you mean {close}?")
        elif name.startswith(_OURS):
            found.append(f"{name} is not known and has no effect")
    return tuple(found)


def _meant(name: str) -> str | None:
    """The variable with an effect that is closest to this name; None where none is close."""
    spelt = name.upper().replace("-", "_")
    candidates, cutoff = _effective(), _CLOSE_OURS if spelt.startswith(_OURS) else _CLOSE_SHARED
    if not spelt.startswith((*_OURS, *_SHARED)):
        # Each comparison takes a while, and most variables of a process are none of ours.
        candidates, cutoff = tuple(one for one in candidates if _may_be_typo(spelt, one)), _CLOSE_OTHER
    close = next(iter(get_close_matches(spelt, candidates, n=1, cutoff=cutoff)), None)
    return _BROKER if close in _CELERYS_BROKER else close


def _may_be_typo(name: str, other: str) -> bool:
    return abs(len(name) - len(other)) <= _TYPO and (name[:4] == other[:4] or name[-4:] == other[-4:])


@cache
def _known() -> frozenset[str]:
    return frozenset(("WORKER_TYPE", "CELERY_APP", *CELERY_READS_ITSELF, *_effective(), *_without_effect()))


@cache
def _effective() -> tuple[str, ...]:
    return (*_CELERYS_BROKER, *_all_names())


def _all_names() -> Iterator[str]:
    kinds = tuple(worker.value.upper() for worker in WorkerType)
    for variable in describe_variables():
        for name in (variable.name, *variable.alternatives):
            for kind in kinds:
                yield name.replace("{TYPE}", kind)
                if variable.secret:
                    yield f"{name.replace('{TYPE}', kind)}_FILE"


def _without_effect() -> Iterator[str]:
    for obsolete in ACCEPTED_WITHOUT_EFFECT:
        for name in obsolete.names:
            for kind in WorkerType:
                yield from expanded(name, kind.value.upper())
