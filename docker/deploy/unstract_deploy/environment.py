"""The environment file, the pins and the secret files: checked as a whole, before anything is touched."""

import difflib
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from unstract_deploy.fleet import DOCKER, WORKERS, Environment, Refused

__all__ = ["SECRETS", "Variables", "default_pins", "read_variables", "secret_problems", "wanted_pins"]

SECRETS = ("internal_api_key", "broker_password", "redis_password", "ledger_url", "redis_acl")
_REFERENCE = DOCKER.parent / "packages" / "unstract-worker-core" / "ENVIRONMENT.md"
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)=(.*)")
_TYPES = ("API_DEPLOYMENT", "GENERAL", "FILE_PROCESSING", "CALLBACK")
# They name secret files that only some arrangements need: chord mode, the platform's executor.
_OPTIONAL_SECRETS = ("BACKEND_DB_PASSWORD_SECRET", "EXECUTION_STORAGE_SECRET", "API_STORAGE_SECRET")
# Variables of the compose file itself, which no worker reads.
_OF_COMPOSE = {
    *(worker.image_variable for worker in WORKERS),
    *_OPTIONAL_SECRETS,
    *("REDIS_IMAGE", "SECRETS_DIR", "PLATFORM_NETWORK", "PLATFORM_NETWORK_EXTERNAL", "REDIS_PUBLISHED_PORT", "BASE"),
}
_SCHEMES = {
    "INTERNAL_API_BASE_URL": ("http", "https"),
    "CELERY_BROKER_BASE_URL": ("redis", "rediss", "sentinel", "amqp", "amqps"),
}
_REQUIRED = (*_SCHEMES, "REDIS_HOST")
_PLACEHOLDER = "replace-"
_DEFAULT_PIN = re.compile(r"image: \$\{([A-Z_]+_IMAGE):-([^}]+)\}")
# name:tag, name@sha256:..., or both; the name may begin with a registry and its port.
_IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::(?P<tag>[\w][\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)


class Variables(NamedTuple):
    """A checked environment file: its text, and its values."""

    text: str
    values: Mapping[str, str]


def read_variables(path: Path, environment: Environment) -> Variables:
    """The environment file at `path`. Raises Refused with every problem, without values."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise Refused(f"{path} cannot be read ({type(error).__name__})") from None
    values: dict[str, str] = {}
    problems = [*_read_lines(text, values), *(f"{name}: {problem}" for name, problem in _values(values, environment))]
    if problems:
        raise Refused(*problems)
    return Variables(text, values)


def default_pins(compose_file: Path) -> dict[str, str]:
    """The images that a compose file names as defaults, by variable."""
    return dict(_DEFAULT_PIN.findall(compose_file.read_text(encoding="utf-8")))


def wanted_pins(values: Mapping[str, str], environment: Environment) -> dict[str, str]:
    """The image of each service, by variable: the environment file's, else the default. Raises Refused."""
    pins = {name: values.get(name) or default for name, default in default_pins(environment.compose_file).items()}
    problems = [f"{name}: {problem}" for name, image in pins.items() if (problem := _image_problem(image))]
    problems += [f"{worker.image_variable}: has no default" for worker in WORKERS if worker.image_variable not in pins]
    if problems:
        raise Refused(*problems)
    return pins


def secret_problems(values: Mapping[str, str], environment: Environment) -> list[str]:
    """The faults of the secret files."""
    if environment.builds:
        return []
    paths = [DOCKER / values["SECRETS_DIR"] / name for name in SECRETS]
    paths += [DOCKER / values[name] for name in _OPTIONAL_SECRETS if values.get(name)]
    return [f"the secret {path} {problem}" for path in paths if (problem := _secret_problem(path))]


def _read_lines(text: str, values: dict[str, str]) -> Iterator[str]:
    """Fills `values`; yields the problems of single lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
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
        if name in secrets and name not in _SCHEMES and not environment.builds:
            yield name, f"is a secret: put it into a file of SECRETS_DIR and name that by {name}_FILE"
        elif known and name not in known | _OF_COMPOSE and name.removesuffix("_FILE") not in secrets:
            near = difflib.get_close_matches(name, known | _OF_COMPOSE, n=1)
            yield name, "is not known" + (f"; did you mean {near[0]}?" if near else "")
        if value.startswith(_PLACEHOLDER):
            yield name, "still holds its placeholder"
    yield from _missing(values, environment)
    for name, schemes in _SCHEMES.items():
        for url in filter(None, values.get(name, "").split(";")):
            yield from ((name, problem) for problem in _url_problems(url, schemes))
    if values.get("PLATFORM_NETWORK_EXTERNAL", "false") not in ("true", "false"):
        yield "PLATFORM_NETWORK_EXTERNAL", "must be true or false"


def _missing(values: Mapping[str, str], environment: Environment) -> Iterator[tuple[str, str]]:
    for name in _REQUIRED if environment.builds else (*_REQUIRED, "SECRETS_DIR", "WORKER_LEDGER_REDIS_URL_FILE"):
        if not values.get(name):
            yield name, "is required"
    if not values.get("INTERNAL_SERVICE_API_KEY") and not values.get("INTERNAL_SERVICE_API_KEY_FILE"):
        yield "INTERNAL_SERVICE_API_KEY_FILE", "is required"


def _url_problems(url: str, schemes: tuple[str, ...]) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        good, secret = parts.scheme in schemes and bool(parts.hostname), bool(parts.password)
    except ValueError:
        good = secret = False
    if not good:
        yield f"must be a URL of {', '.join(schemes)}"
    if secret:
        yield "holds a password; put that into a file"


def _secret_problem(path: Path) -> str | None:
    if not path.is_file():
        return "is missing"
    found = path.stat()
    if found.st_size == 0:
        return "is empty"
    if found.st_mode & stat.S_IWOTH:
        return "may be written by everybody: chmod o-w"
    # Containers run as another user, and compose mounts the file as it is.
    if not found.st_mode & stat.S_IROTH and found.st_uid not in (10001, 999):
        return "cannot be read inside the containers: chmod o+r it in a folder that is yours alone"
    return None


def _image_problem(image: str) -> str | None:
    found = _IMAGE.fullmatch(image)
    if found is None:
        return "is not an image's name with a tag or a digest"
    if not found["tag"] and not found["digest"]:
        return "names no version: add a tag or a digest"
    if found["tag"] == "latest" and not found["digest"]:
        return "names `latest`, which changes by itself: name a version or a digest"
    return None


def _reference() -> tuple[set[str], set[str]]:
    """The names that workers know, and those of them that are secrets; none where ENVIRONMENT.md is not there."""
    known: set[str] = set()
    secrets: set[str] = set()
    for row in _REFERENCE.read_text(encoding="utf-8").splitlines() if _REFERENCE.exists() else ():
        if row.startswith("| `"):
            cells = row.split(" | ")
            names = {each for name in re.findall(r"`([^`]+)`", cells[0]) for each in _for_each_type(name)}
            known |= names
            secrets |= names if cells[-1].rstrip(" |").endswith("(secret)") else set()
    return known, secrets


def _for_each_type(name: str) -> Iterator[str]:
    """A name of ENVIRONMENT.md with its types filled in; `*_X` is CELERY_X and {TYPE}_X."""
    if name.startswith("*_"):
        yield f"CELERY_{name[2:]}"
        name = f"{{TYPE}}_{name[2:]}"
    yield from (name.replace("{TYPE}", kind) for kind in (_TYPES if "{TYPE}" in name else ("",)))
