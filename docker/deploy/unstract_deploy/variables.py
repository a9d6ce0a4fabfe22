"""The environment file: read and checked as a whole, before anything is touched."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from unstract_deploy.failures import EnvironmentFault
from unstract_deploy.fleet import DOCKER, WORKERS, Environment

__all__ = ["Variables", "read_variables"]

REFERENCE = DOCKER.parent / "packages" / "unstract-worker-core" / "ENVIRONMENT.md"
LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
TYPES = ("API_DEPLOYMENT", "GENERAL", "FILE_PROCESSING", "CALLBACK")
OF_THE_DEPLOYMENT = {
    *(worker.image_variable for worker in WORKERS),
    *("REDIS_IMAGE", "SECRETS_DIR", "PLATFORM_NETWORK", "PLATFORM_NETWORK_EXTERNAL", "REDIS_PUBLISHED_PORT", "BASE"),
}
REQUIRED = ("INTERNAL_API_BASE_URL", "CELERY_BROKER_BASE_URL", "REDIS_HOST")
SCHEMES = {
    "INTERNAL_API_BASE_URL": ("http", "https"),
    "CELERY_BROKER_BASE_URL": ("redis", "rediss", "sentinel", "amqp", "amqps"),
}
PLACEHOLDER = "replace-"


@dataclass(frozen=True, slots=True)
class Variables:
    """A checked environment file: its text, and its values."""

    text: str
    values: Mapping[str, str]


def read_variables(path: Path, environment: Environment) -> Variables:
    """The environment file at `path`. Raises EnvironmentFault with every problem, without values."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise EnvironmentFault((f"{path} cannot be read ({type(error).__name__})",)) from None
    values: dict[str, str] = {}
    problems = list(_lines(text, values))
    problems += [f"{name}: {problem}" for name, problem in _values(values, environment)]
    if problems:
        raise EnvironmentFault(tuple(problems))
    return Variables(text, values)


def _lines(text: str, values: dict[str, str]) -> Iterator[str]:
    """Fills `values`; the problems of single lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line)
        if found is None:
            yield f"line {number} is not NAME=value"
            continue
        name, value = found.groups()
        if name in values:
            yield f"{name}: is set twice (line {number})"
        if value != value.strip() or value[:1] in ("'", '"') or "$" in value or " #" in value:
            yield f"{name}: quotes, $, comments and blanks around the value are not supported (line {number})"
        values[name] = value


def _values(values: Mapping[str, str], environment: Environment) -> Iterator[tuple[str, str]]:
    known, secrets = _reference()
    for name, value in values.items():
        plain = name.removesuffix("_FILE")
        if name in secrets and name not in SCHEMES and not environment.builds:
            yield name, f"is a secret: put it into a file of SECRETS_DIR and name that by {name}_FILE"
        elif known and name not in known and plain not in secrets and name not in OF_THE_DEPLOYMENT:
            near = difflib.get_close_matches(name, {*known, *OF_THE_DEPLOYMENT}, n=1)
            yield name, "is not known" + (f"; did you mean {near[0]}?" if near else "")
        if value.startswith(PLACEHOLDER):
            yield name, "still holds its placeholder"
    yield from _required(values, environment)


def _required(values: Mapping[str, str], environment: Environment) -> Iterator[tuple[str, str]]:
    for name in REQUIRED if environment.builds else (*REQUIRED, "SECRETS_DIR", "WORKER_LEDGER_REDIS_URL_FILE"):
        if not values.get(name):
            yield name, "is required"
    if not values.get("INTERNAL_SERVICE_API_KEY") and not values.get("INTERNAL_SERVICE_API_KEY_FILE"):
        yield "INTERNAL_SERVICE_API_KEY_FILE", "is required"
    for name, schemes in SCHEMES.items():
        for url in filter(None, values.get(name, "").split(";")):
            yield from ((name, problem) for problem in _url(url, schemes))
    if values.get("PLATFORM_NETWORK_EXTERNAL", "false") not in ("true", "false"):
        yield "PLATFORM_NETWORK_EXTERNAL", "must be true or false"


def _url(url: str, schemes: tuple[str, ...]) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        good = parts.scheme in schemes and bool(parts.hostname)
        secret = bool(parts.password)
    except ValueError:
        good = secret = False
    if not good:
        yield f"must be a URL of {', '.join(schemes)}"
    if secret:
        yield "holds a password; put that into a file"


def _reference() -> tuple[frozenset[str], frozenset[str]]:
    """The names that workers know, and those of them that are secrets; nothing where the reference is not there."""
    if not REFERENCE.exists():
        return frozenset(), frozenset()
    known: set[str] = set()
    secrets: set[str] = set()
    for row in REFERENCE.read_text(encoding="utf-8").splitlines():
        if row.startswith("| `"):
            cells = row.split(" | ")
            names = {each for name in re.findall(r"`([^`]+)`", cells[0]) for each in _spelled(name)}
            known |= names
            secrets |= names if cells[-1].rstrip(" |").endswith("(secret)") else set()
    return frozenset(known), frozenset(secrets)


def _spelled(name: str) -> Iterator[str]:
    """A name of the reference with its types filled in."""
    if name.startswith("*_"):
        yield f"CELERY_{name[2:]}"
        name = f"{{TYPE}}_{name[2:]}"
    yield from (name.replace("{TYPE}", kind) for kind in (TYPES if "{TYPE}" in name else ("",)))
