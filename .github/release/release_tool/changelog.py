"""A package's CHANGELOG.md, and the fragments that go into its next section."""

import re
from pathlib import PurePosixPath

from attrs import frozen
from packaging.version import Version

from release_tool.packages import Package
from release_tool.repository import ReleaseError, Repository

KINDS = ("removal", "feature", "bugfix", "doc", "misc")
HEADING = re.compile(r"^## (?P<version>\S+) \((?P<date>\d{4}-\d\d-\d\d)\)$", re.MULTILINE)


@frozen
class Section:
    """The changes of one release; `body` is Markdown without the heading."""

    version: str
    date: str
    body: str


@frozen
class Fragment:
    """One unreleased change, such as `retry-after.bugfix.md`."""

    path: PurePosixPath
    kind: str


def sections_of(text: str) -> tuple[Section, ...]:
    """The sections of a changelog, newest first."""
    found = list(HEADING.finditer(text))
    ends = [*(following.start() for following in found[1:]), len(text)]
    return tuple(
        Section(heading["version"], heading["date"], text[heading.end() : ends[number]].strip())
        for number, heading in enumerate(found)
    )


def section_of(package: Package, text: str, version: Version) -> Section:
    """The section of one version.

    Raises:
        ReleaseError: there is none.
    """
    for section in sections_of(text):
        if section.version == str(version):
            return section
    raise ReleaseError(f"{package.changelog} has no section for {version}: `hatch run release prepare` writes it")


def fragments_of(repository: Repository, package: Package) -> tuple[Fragment, ...]:
    """The unreleased changes of a package.

    Raises:
        ReleaseError: a file's name does not say what kind of change it is.
    """
    folder = repository.root / package.fragments
    names = sorted(file.name for file in folder.iterdir() if file.name != ".gitkeep") if folder.is_dir() else []
    return tuple(_fragment(package.fragments / name) for name in names)


def _fragment(path: PurePosixPath) -> Fragment:
    parts = path.name.split(".")
    if len(parts) < 3 or parts[-1] != "md" or parts[-2] not in KINDS:
        raise ReleaseError(f"{path} is not a change: name it <name>.<{'|'.join(KINDS)}>.md")
    return Fragment(path, parts[-2])
