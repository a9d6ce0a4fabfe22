"""The version numbers that stand outside of the packages: each is the newest release of the index.

They are the images of the production compose file and of the Kubernetes manifests, and the table in the README.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from attrs import frozen

from release_tool.catalogue import PACKAGES, WORKERS, Package
from release_tool.history import load_index
from release_tool.repository import Repository

__all__ = ["Pin", "pins_of", "write_pins"]

README = PurePosixPath("README.md")
COMPOSE = PurePosixPath("docker/compose.production.yaml")
KUBERNETES = PurePosixPath("docker/kubernetes/images/kustomization.yaml")
VERSION = r"\d+\.\d+\.\d+"


@frozen
class Pin:
    """One number. `wanted` is the newest release, None while there is none; `found` is what the file says."""

    path: PurePosixPath
    package: Package
    found: str
    wanted: str | None

    @property
    def agrees(self) -> bool:
        """Whether the file says what the index says."""
        return self.wanted is None or self.found == self.wanted


def pins_of(repository: Repository) -> Iterator[Pin]:
    """Every number that stands somewhere; files that are not there hold none."""
    index = load_index(repository)
    for path, package, pattern in _places():
        if (repository.root / path).is_file():
            row = index.latest(package)
            for found in pattern.finditer(repository.read(path)):
                yield Pin(path, package, found["version"], None if row is None else str(row.version))


def write_pins(repository: Repository) -> tuple[Pin, ...]:
    """Writes the newest release wherever another one stands; returns what stood there."""
    wrong = tuple(pin for pin in pins_of(repository) if not pin.agrees)
    for path, package, pattern in _places():
        wanted = next((pin.wanted for pin in wrong if (pin.path, pin.package) == (path, package)), None)
        if wanted is not None:
            repository.write(path, pattern.sub(rf"\g<before>{wanted}", repository.read(path)))
    return wrong


def _places() -> Iterator[tuple[PurePosixPath, Package, re.Pattern[str]]]:
    for package in PACKAGES:
        row = rf"(?P<before>^\| \[{re.escape(package.distribution)}\]\([^)]*\) \| )(?P<version>{VERSION})"
        yield README, package, re.compile(row, re.MULTILINE)
    for package in WORKERS:
        name = re.escape(package.distribution)
        # An image's tag, or Kustomize's: `newTag` below the image's name.
        kustomize = rf"\bname: (?:\S+/)?{name}\n(?: +newName: .*\n)? +newTag: \"?"
        image = re.compile(rf"(?P<before>(?<=[ /-]){name}:|{kustomize})(?P<version>{VERSION})")
        yield COMPOSE, package, image
        yield KUBERNETES, package, image
