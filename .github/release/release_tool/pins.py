"""The version numbers outside of the packages, each the newest release of the index: README's table, and images.

`compose.unstract.yaml` goes with the sources beside it: it may name the release that they are in development of.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from attrs import frozen

from release_tool.index import load_index
from release_tool.packages import PACKAGES, WORKERS, Package, current
from release_tool.repository import Repository

README = PurePosixPath("README.md")
COMPOSE = PurePosixPath("docker/compose.production.yaml")
UNSTRACT = PurePosixPath("docker/compose.unstract.yaml")
KUBERNETES = PurePosixPath("docker/kubernetes/images/kustomization.yaml")
VERSION = r"(?P<version>\d+\.\d+\.\d+)"


@frozen
class Pin:
    """One number.

    Attributes:
        pattern: where it is in the file.
        found: the number in the file.
        wanted: the newest release; None while there is none.
        coming: the release in development, where the file may name it.
    """

    path: PurePosixPath
    package: Package
    pattern: re.Pattern[str]
    found: str
    wanted: str | None
    coming: str | None = None

    @property
    def agrees(self) -> bool:
        """Whether the file has the index's number, or the coming one where that is allowed."""
        return self.wanted is None or self.found in (self.wanted, self.coming)


def pins_of(repository: Repository) -> Iterator[Pin]:
    """Every number in every file."""
    index = load_index(repository)
    for path, package, pattern in _places(repository):
        row, project = index.latest(package), current(repository, package)
        wanted = None if row is None else str(row.version)
        coming = project.version.base_version if project.in_development and path == UNSTRACT else None
        for found in pattern.finditer(repository.read(path)):
            yield Pin(path, package, pattern, found["version"], wanted, coming)


def write_pins(repository: Repository) -> tuple[Pin, ...]:
    """Writes the newest release over every other number; returns the numbers that were replaced."""
    wrong = tuple(pin for pin in pins_of(repository) if not pin.agrees)
    for pin in wrong:
        repository.write(pin.path, pin.pattern.sub(rf"\g<before>{pin.wanted}", repository.read(pin.path)))
    return wrong


def _places(repository: Repository) -> Iterator[tuple[PurePosixPath, Package, re.Pattern[str]]]:
    for package in PACKAGES:
        row = rf"(?P<before>^\| \[{re.escape(package.distribution)}\]\([^)]*\) \| ){VERSION}"
        if (repository.root / README).is_file():
            yield README, package, re.compile(row, re.MULTILINE)
    for package in WORKERS:
        name = re.escape(package.distribution)
        # An image's tag, or Kustomize's: `newTag` below the image's name.
        kustomize = rf"\bname: (?:\S+/)?{name}\n(?: +newName: .*\n)? +newTag: \"?"
        image = re.compile(rf"(?P<before>(?<=[ /-]){name}:|{kustomize}){VERSION}")
        for path in (COMPOSE, UNSTRACT, KUBERNETES):
            if (repository.root / path).is_file():
                yield path, package, image
