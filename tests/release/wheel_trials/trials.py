"""Which packages are tried with which core: every one that their users may have."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath

from attrs import frozen
from release_tool.building import Wheelhouse
from release_tool.index import INDEX, Row, load_index, source_of
from release_tool.packages import CORE, WORKERS, Package, current, parse_project
from release_tool.repository import ReleaseError, Repository
from release_tool.versions import CoreRange

__all__ = ["Trial", "WhichCore", "downstream_trials", "head_trials"]

DEVSTACK = PurePosixPath("tests/devstack")


class WhichCore(StrEnum):
    """A core that a worker is tried with."""

    LOWEST = "lowest"
    NEWEST = "newest"


@frozen
class Trial:
    """One run of a package's own tests.

    Attributes:
        package: whose tests.
        name: such as `callback 1.4.0 with core 1.0.0`.
        wheels: the wheels of ours that are installed.
        devstack: the wheel of the development stack that the tests talk to.
        tests_at: the commit that the tests are taken from; None takes the work tree.
    """

    package: Package
    name: str
    wheels: tuple[Path, ...]
    devstack: Path
    tests_at: str | None = None


def head_trials(house: Wheelhouse, packages: Sequence[Package], cores: Sequence[WhichCore]) -> Iterator[Trial]:
    """The tests of these packages in the work tree, each worker with the lowest and the newest core of its range."""
    devstack = house.wheel(DEVSTACK, None)
    for package in packages:
        project = current(house.repository, package)
        wheel = house.of_head(package)
        if project.needs_core is None:
            yield Trial(package, f"core {project.version}", (wheel,), devstack)
            continue
        for name, core in _cores(house, project.needs_core, cores):
            yield Trial(package, f"{package.name} {project.version} with core {name}", (wheel, core), devstack)


def downstream_trials(house: Wheelhouse) -> Iterator[Trial]:
    """The tests of each worker's last release, as they were then, with the core of the work tree, if it allows it."""
    repository = house.repository
    core = current(repository, CORE).version
    for package in WORKERS:
        row = load_index(repository).latest(package)
        if row is None:
            continue
        commit = source_of(repository, row)
        needs = parse_project(package, repository.read_at(commit, package.pyproject) or "").needs_core
        if needs is not None and core in needs:
            name = f"{package.name} {row.version} as released with core {core} as it is"
            wheels = (house.of_release(row), house.of_head(CORE))
            yield Trial(package, name, wheels, house.wheel(DEVSTACK, commit), tests_at=commit)


def _cores(house: Wheelhouse, needs: CoreRange, wanted: Sequence[WhichCore]) -> Iterator[tuple[str, Path]]:
    newest = current(house.repository, CORE).version
    row = _lowest_core(house.repository, needs)
    if row is None:
        yield f"{newest} as it is (no core of {needs.text} is released yet)", house.of_head(CORE)
        return
    # A core that is the lowest of the range, released and not changed since, is tried once.
    same = row.version == newest and not _changed(house.repository, row)
    if WhichCore.LOWEST in wanted or same:
        yield f"{row.version}, the lowest{' and newest' if same else ''}", house.of_release(row)
    if WhichCore.NEWEST in wanted and not same:
        yield f"{newest} as it is", house.of_head(CORE)


def _lowest_core(repository: Repository, needs: CoreRange) -> Row | None:
    """The lowest released core of a range; None as long as that core is in development, or none was released."""
    releases = load_index(repository).of(CORE)
    allowed = [row for row in releases if row.version in needs]
    if allowed:
        return min(allowed, key=lambda row: row.version)
    if needs.lower.is_devrelease or not releases:
        return None
    raise ReleaseError(f"no core release of {INDEX} is in {needs.text}")


def _changed(repository: Repository, row: Row) -> bool:
    return bool(repository.changed_since(source_of(repository, row), row.package.contents))
