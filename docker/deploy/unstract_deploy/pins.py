"""Which image each worker is to run: the environment file's word, else the default in the compose file."""

import re
from collections.abc import Mapping
from pathlib import Path

from unstract_deploy.failures import EnvironmentFault
from unstract_deploy.fleet import WORKERS, Environment

__all__ = ["default_pins", "wanted_pins"]

DEFAULT = re.compile(r"image: \$\{([A-Z_]+_IMAGE):-([^}]+)\}")
# name:tag, name@sha256:..., or both; the name may begin with a registry and its port.
IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::(?P<tag>[\w][\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?"
)


def default_pins(compose_file: Path) -> dict[str, str]:
    """The defaults in a compose file, by variable."""
    return dict(DEFAULT.findall(compose_file.read_text(encoding="utf-8")))


def wanted_pins(values: Mapping[str, str], environment: Environment) -> dict[str, str]:
    """The image of each service, by variable. Raises EnvironmentFault for one that is not pinned."""
    pins = {name: values.get(name) or default for name, default in default_pins(environment.compose_file).items()}
    problems = [f"{name}: {problem}" for name, image in pins.items() if (problem := _problem(image))]
    problems += [f"{worker.image_variable}: has no default" for worker in WORKERS if worker.image_variable not in pins]
    if problems:
        raise EnvironmentFault(tuple(problems))
    return pins


def _problem(image: str) -> str | None:
    found = IMAGE.fullmatch(image)
    if found is None:
        return "is not an image's name with a tag or a digest"
    if not found["tag"] and not found["digest"]:
        return "names no version: add a tag or a digest"
    if found["tag"] == "latest" and not found["digest"]:
        return "names `latest`, which changes by itself: name a version or a digest"
    return None
