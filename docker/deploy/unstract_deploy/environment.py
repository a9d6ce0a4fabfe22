"""The environment file, the pins and the secret files: checked as a whole, before anything is touched."""

import difflib
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from unstract_deploy import Refused

__all__ = [
    "DEVELOPMENT",
    "DOCKER",
    "WORKERS",
    "Variables",
    "compose_file_of",
    "default_pins",
    "pin_of",
    "read_variables",
]

DOCKER = Path(__file__).resolve().parents[2]
DEVELOPMENT = "development"  # builds its images from the sources
# The services in the order of deployment: the receiver of a new kind of message runs before its sender does.
WORKERS = ("callback", "file-processing", "general", "api-deployment")
_REFERENCE = DOCKER.parent / "packages" / "unstract-worker-core" / "ENVIRONMENT.md"
_SCHEMES = {
    "INTERNAL_API_BASE_URL": ("http", "https"),
    "CELERY_BROKER_BASE_URL": ("redis", "rediss", "sentinel", "amqp", "amqps"),
}
_DEFAULT_PIN = re.compile(r"image: \$\{([A-Z_]+_IMAGE):-([^}]+)\}")
# name:tag, name@sha256:..., or both; the name may begin with a registry and its port.
_PIN = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::(?!latest$)\w[\w.-]{0,127}|(?::\w[\w.-]{0,127})?@sha256:[0-9a-f]{64})"
)


class Variables(NamedTuple):
    """A checked environment file.

    Attributes:
        pins: the image of each service, by the variable that pins it.
        secret_problems: what is wrong with the secret files that it names.
    """

    text: str
    values: Mapping[str, str]
    pins: Mapping[str, str]
    secret_problems: list[str]


def compose_file_of(environment: str) -> Path:
    """The compose file of an environment."""
    return DOCKER / ("compose.yaml" if environment == DEVELOPMENT else "compose.production.yaml")


def pin_of(worker: str) -> str:
    """The variable that pins the image of a worker."""
    return f"{worker.upper().replace('-', '_')}_IMAGE"


def default_pins(compose_file: Path) -> dict[str, str]:
    """The images that a compose file names as defaults, by variable."""
    return dict(_DEFAULT_PIN.findall(compose_file.read_text(encoding="utf-8")))


def read_variables(path: Path, environment: str) -> Variables:
    """The environment file at `path`. Raises Refused with every problem, without values."""
    compose_file = compose_file_of(environment)
    try:
        text, compose = path.read_text(encoding="utf-8"), compose_file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise Refused(f"{path} cannot be read ({type(error).__name__})") from None
    values: dict[str, str] = {}
    problems = [*_read_lines(text, values), *_problems(values, builds=environment == DEVELOPMENT)]
    pins = {name: values.get(name) or image for name, image in default_pins(compose_file).items()}
    wrong = "must name an image and its version: NAME:TAG, not `latest`, or NAME@sha256:..."
    if problems := [*problems, *(f"{name}: {wrong}" for name in pins if not _PIN.fullmatch(pins[name]))]:
        raise Refused(*problems)
    files = [values.get("SECRETS_DIR", "") + name for name in re.findall(r"\{SECRETS_DIR[^}]*\}(/\w+)", compose)]
    files += filter(
        None, (values.get(name) for name in re.findall(r"\{(\w+_SECRET)\b", compose))
    )  # in some arrangements
    return Variables(text, values, pins, [*filter(None, map(_secret_problem, files))])


def _read_lines(text: str, values: dict[str, str]) -> Iterator[str]:
    """Fills `values`; yields the problems of single lines."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if (found := re.fullmatch(r"([A-Z][A-Z0-9_]*)=(.*)", line)) is None:
            yield f"line {number} is not NAME=value"
            continue
        name, value = found.groups()
        if name in values:
            yield f"{name}: is set twice (line {number})"
        if value != value.strip() or value[:1] in ("'", '"') or "$" in value or " #" in value:
            yield f"{name}: quotes, $, comments and blanks around the value are not supported (line {number})"
        values[name] = value


def _problems(values: Mapping[str, str], *, builds: bool) -> Iterator[str]:
    known, secrets = _reference()
    for name, value in values.items():
        if name in secrets and name not in _SCHEMES and not builds:
            yield f"{name}: is a secret: put it into a file of SECRETS_DIR and name that by {name}_FILE"
        elif secrets and name not in known and name.removesuffix("_FILE") not in secrets:
            near = difflib.get_close_matches(name, known, n=1)
            yield f"{name}: is not known" + (f"; did you mean {near[0]}?" if near else "")
        if value.startswith("replace-"):
            yield f"{name}: still holds its placeholder"
    key = "INTERNAL_SERVICE_API_KEY" if values.get("INTERNAL_SERVICE_API_KEY") else "INTERNAL_SERVICE_API_KEY_FILE"
    required = (*_SCHEMES, "REDIS_HOST", key, *(() if builds else ("SECRETS_DIR", "WORKER_LEDGER_REDIS_URL_FILE")))
    yield from (f"{name}: is required" for name in required if not values.get(name))
    for name, schemes in _SCHEMES.items():
        for url in filter(None, values.get(name, "").split(";")):
            yield from (f"{name}: {problem}" for problem in _url_problems(url, schemes))
    if values.get("PLATFORM_NETWORK_EXTERNAL", "false") not in ("true", "false"):
        yield "PLATFORM_NETWORK_EXTERNAL: must be true or false"


def _url_problems(url: str, schemes: tuple[str, ...]) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in schemes or not parts.hostname:
        yield f"must be a URL of {', '.join(schemes)}"
    if parts.password:
        yield "holds a password; put that into a file"


def _secret_problem(file: str) -> str | None:
    path, problem = DOCKER / file, None
    if not path.is_file():
        problem = "is missing"
    elif path.stat().st_size == 0:
        problem = "is empty"
    elif path.stat().st_mode & stat.S_IWOTH:
        problem = "may be written by everybody: chmod o-w"
    elif not path.stat().st_mode & stat.S_IROTH and path.stat().st_uid not in (10001, 999):
        # Containers run as another user, and compose mounts the file as it is.
        problem = "cannot be read inside the containers: chmod o+r it in a folder that is yours alone"
    return f"the secret {path} {problem}" if problem else None


def _reference() -> tuple[set[str], set[str]]:
    """The names that compose files and workers know, and those that are secrets; none of these without _REFERENCE."""
    files = sorted(DOCKER.glob("compose*.yaml"))
    known = {name for file in files for name in re.findall(r"\$\{(\w+)", file.read_text(encoding="utf-8"))}
    secrets: set[str] = set()
    rows = _REFERENCE.read_text(encoding="utf-8").splitlines() if _REFERENCE.exists() else []
    for first, *_, last in (row.split(" | ") for row in rows if row.startswith("| `")):
        for kind in (pin_of(worker).removesuffix("_IMAGE") for worker in WORKERS):
            for prefix in ("CELERY", kind):  # `*_X` is CELERY_X and {TYPE}_X
                names = re.findall(r"`([^`]+)`", first.replace("*_", f"{prefix}_").replace("{TYPE}", kind))
                known.update(names)
                secrets.update(names if last.rstrip(" |").endswith("(secret)") else ())
    return known, secrets
