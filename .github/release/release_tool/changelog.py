"""A package's CHANGELOG.md, and the fragments that go into its next section."""

import re
from collections.abc import Mapping

from attrs import frozen
from packaging.version import Version

from release_tool.packages import Package
from release_tool.repository import ReleaseError, Repository

KINDS = ("removal", "feature", "bugfix", "doc", "misc")
HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>\d{4}-\d\d-\d\d)\)$", re.MULTILINE)

FRAGMENT = re.compile(rf".+\.(?P<kind>{'|'.join(KINDS)})\.md")


@frozen
class Section:
    """The changes of one release; `body` is Markdown without the heading."""

    version: str
    date: str
    body: str


def sections_of(text: str) -> tuple[Section, ...]:
    """The sections of a changelog, newest first."""
    _, *parts = HEADING.split(text)
    return tuple(Section(*each) for each in zip(parts[::3], parts[1::3], map(str.strip, parts[2::3]), strict=True))


def section_of(package: Package, text: str, version: Version) -> Section:
    """The section of one version.

    Raises:
        ReleaseError: there is none.
    """
    for section in sections_of(text):
        if section.version == str(version):
            return section
    raise ReleaseError(f"{package.changelog} has no section for {version}: `hatch run release prepare` writes it")


def fragments_of(repository: Repository, package: Package) -> Mapping[str, str]:
    """The kinds of the unreleased changes of a package by their files' names, such as `retry-after.bugfix.md`.

    Raises:
        ReleaseError: a file's name does not say what kind of change it is.
    """
    names = {path.name for path in (repository.root / package.fragments).glob("*")} - {".gitkeep"}
    found = {name: FRAGMENT.fullmatch(name) for name in sorted(names)}
    for name, match in found.items():
        if match is None:
            raise ReleaseError(f"{package.fragments / name} is not a change: name it <name>.<{'|'.join(KINDS)}>.md")
    return {name: match["kind"] for name, match in found.items() if match}
