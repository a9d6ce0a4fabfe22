"""Makes the work tree ready for a release: version, changelog, release index, pins. Commits nothing."""

import sys
from datetime import UTC, datetime

from attrs import evolve
from packaging.version import Version

from release_tool.bumps import Bump, least_bump, next_version
from release_tool.catalogue import Package
from release_tool.changelog import fragments_of
from release_tool.errors import ReleaseError
from release_tool.history import current, load_index, record
from release_tool.index import INDEX, Row
from release_tool.pins import write_pins
from release_tool.processes import run
from release_tool.project import with_version
from release_tool.ranges import range_faults
from release_tool.repository import Repository

__all__ = ["prepare", "today"]


def today() -> str:
    """The date that releases get by default, in UTC."""
    return datetime.now(UTC).date().isoformat()


def prepare(repository: Repository, package: Package, bump: Bump, *, date: str) -> Row:
    """Sets the next version, moves the fragments into the changelog, adds the row of the index and pins the release.

    Raises:
        ReleaseError: there is nothing to release, the bump is too small for it, the range of core cannot be kept, or
            the last release is not committed yet. The work tree is then as it was.
    """
    project = current(repository, package)
    version = next_version(project.version, bump)
    _refuse(repository, package, bump)
    faults = list(range_faults(repository, package, evolve(project, version=version)))
    if faults:
        raise ReleaseError("\n".join(faults))
    record(repository)
    _write_changelog(repository, package, version, date)
    repository.write(package.pyproject, with_version(package, repository.read(package.pyproject), version))
    row = Row(date, package, version, None, project.core_text)
    repository.write(INDEX, load_index(repository).with_row(row).rendered())
    write_pins(repository)
    return row


def _refuse(repository: Repository, package: Package, bump: Bump) -> None:
    version = current(repository, package).version
    latest = load_index(repository).latest(package)
    if version.is_devrelease:
        _refuse_bump(package, version, None if latest is None else latest.version, bump)
    elif latest is not None and latest.version != version:
        raise ReleaseError(f"{package.pyproject} is at {version}, but the last release in {INDEX} is {latest.version}")
    if latest is not None and repository.introduced(latest.identity, INDEX) is None:
        raise ReleaseError(f"{package.tag(version)} is prepared already: commit and tag it first")
    fragments = fragments_of(repository, package)
    if not fragments:
        raise ReleaseError(f"{package.fragments}/ says of no change: add a fragment for what this release brings")
    if latest is None and bump is Bump.NONE:
        return
    least = least_bump(version, fragments)
    if bump < least:
        kinds = ", ".join(sorted({fragment.kind for fragment in fragments}))
        raise ReleaseError(f"the changes of {package.name} ({kinds}) need --bump {least.name.lower()} at least")


def _refuse_bump(package: Package, version: Version, latest: Version | None, bump: Bump) -> None:
    """Refuses a bump that does not lead from the last release to the one that is being developed."""
    wanted = Version(version.base_version)
    if latest is None or next_version(latest, bump) == wanted:
        return
    fitting = next((f"--bump {each.name.lower()}" for each in Bump if next_version(latest, each) == wanted), "no bump")
    raise ReleaseError(f"{package.pyproject} is at {version}: {fitting} leads there from {latest}")


def _write_changelog(repository: Repository, package: Package, version: Version, date: str) -> None:
    run(
        [
            *(sys.executable, "-m", "towncrier", "build", "--yes"),
            *("--config", str(package.pyproject), "--dir", str(package.folder)),
            *("--version", str(version), "--date", date),
        ],
        cwd=repository.root,
    )
