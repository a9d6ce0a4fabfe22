"""A folder of wheels, each built from the commit that it is asked for."""

from pathlib import Path, PurePosixPath

from attrs import define, field
from packaging.version import Version

from release_tool.building import build_once
from release_tool.catalogue import CORE, Package
from release_tool.core_range import CoreRange
from release_tool.errors import ReleaseError
from release_tool.history import load_index, source_of
from release_tool.index import INDEX, Row
from release_tool.repository import Repository

__all__ = ["DEVSTACK", "Wheelhouse", "lowest_core", "release_of"]

DEVSTACK = PurePosixPath("tests/devstack")


@define
class Wheelhouse:
    """Builds each wheel once. Wheels of one version from different commits never meet in one folder."""

    repository: Repository
    scratch: Path
    _built: dict[tuple[PurePosixPath, str | None], Path] = field(factory=dict, init=False, repr=False)

    def of_head(self, package: Package) -> Path:
        """The wheel of the work tree."""
        return self.wheel(package.folder, None)

    def of_release(self, row: Row) -> Path:
        """The wheel of a release, from its commit."""
        return self.wheel(row.package.folder, source_of(self.repository, row))

    def of_devstack(self) -> Path:
        """The wheel of the development stack, which the tests talk to."""
        return self.wheel(DEVSTACK, None)

    def wheel(self, folder: PurePosixPath, revision: str | None) -> Path:
        """The wheel of a folder of the repository at a commit, or of the work tree."""
        key = (folder, revision)
        if key not in self._built:
            place = self.scratch / f"{folder.name}-{(revision or 'worktree')[:12]}"
            self._built[key] = build_once(self.repository, folder, place, revision=revision).wheel
        return self._built[key]


def lowest_core(repository: Repository, needs: CoreRange) -> Row | None:
    """The lowest core release that a range allows; None as long as that core is in development or none was released.

    Raises:
        ReleaseError: there are releases, but none in the range.
    """
    releases = load_index(repository).of(CORE)
    allowed = [row for row in releases if row.version in needs]
    if not allowed and (needs.lower.is_devrelease or not releases):
        return None
    if not allowed:
        raise ReleaseError(f"no core release of {INDEX} is in {needs.text}")
    return min(allowed, key=lambda row: row.version)


def release_of(repository: Repository, package: Package, version: Version | None) -> Row:
    """A release by its version, or the newest one.

    Raises:
        ReleaseError: there is no such release.
    """
    index = load_index(repository)
    row = index.latest(package) if version is None else index.find(package, version)
    if row is None:
        raise ReleaseError(f"{package.name} {version or ''} is no release of {INDEX}")
    return row
