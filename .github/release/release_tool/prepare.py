"""Makes the work tree ready for a release: version, changelog, release index, pins. Commits nothing."""

import re
import sys
from datetime import UTC, datetime

from attrs import evolve
from packaging.version import Version

from release_tool.changelog import fragments_of
from release_tool.check import range_faults
from release_tool.index import INDEX, Row, load_index, record
from release_tool.packages import Package, current, parse_project
from release_tool.pins import write_pins
from release_tool.repository import ReleaseError, Repository, run
from release_tool.versions import Bump, least_bump, next_version

VERSION_LINE = re.compile(r'^version = "[^"\n]*"$', re.MULTILINE)


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
    version = _next(repository, package, project.version, bump)
    faults = list(range_faults(repository, package, evolve(project, version=version)))
    if faults:
        raise ReleaseError("\n".join(faults))
    record(repository)
    _write_changelog(repository, package, version, date)
    repository.write(package.pyproject, _with_version(package, repository.read(package.pyproject), version))
    row = Row(date, package, version, None, project.core_text)
    index = load_index(repository)
    repository.write(INDEX, evolve(index, rows=(row, *index.rows)).rendered())
    write_pins(repository)
    return row


def _next(repository: Repository, package: Package, version: Version, bump: Bump) -> Version:
    """The version of this release; refuses a bump that does not fit what there is to release."""
    latest = load_index(repository).latest(package)
    fragments = fragments_of(repository, package)
    last = version if latest is None else latest.version
    if version != last and not version.is_devrelease:
        raise ReleaseError(f"{package.pyproject} is at {version}, but the last release in {INDEX} is {last}")
    if latest is not None and repository.introduced(latest.identity, INDEX) is None:
        raise ReleaseError(f"{latest.tag} is prepared already: commit and tag it first")
    if latest is not None and version.is_devrelease:
        _refuse_detour(package, version, last, bump)
    if not fragments:
        raise ReleaseError(f"{package.fragments}/ is empty: add a fragment for each change of this release")
    kinds = sorted(set(fragments.values()))
    least = Bump.NONE if latest is None and bump is Bump.NONE else least_bump(last, kinds)
    if bump < least:
        needed = least.name.lower()
        raise ReleaseError(f"the changes of {package.name} ({', '.join(kinds)}) need --bump {needed} at least")
    return Version(version.base_version) if version.is_devrelease else next_version(version, bump)


def _refuse_detour(package: Package, version: Version, last: Version, bump: Bump) -> None:
    """Refuses a bump that does not lead from the last release to the one that is in development."""
    fitting = [each for each in Bump if next_version(last, each) == Version(version.base_version)]
    if bump not in fitting:
        way = f"--bump {fitting[0].name.lower()}" if fitting else "no bump"
        raise ReleaseError(f"{package.pyproject} is at {version}: {way} leads there from {last}")


def _with_version(package: Package, text: str, version: Version) -> str:
    changed = VERSION_LINE.sub(f'version = "{version}"', text, count=1)
    if parse_project(package, changed).version != version:
        raise ReleaseError(f'{package.pyproject}: no line `version = "..."` to change in [project]')
    return changed


def _write_changelog(repository: Repository, package: Package, version: Version, date: str) -> None:
    run(
        [
            *(sys.executable, "-m", "towncrier", "build", "--yes"),
            *("--config", str(package.pyproject), "--dir", str(package.folder)),
            *("--version", str(version), "--date", date),
        ],
        cwd=repository.root,
    )
