"""Which trials show that a package works with every core that its users may have."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from release_tool.catalogue import CORE, WORKERS, Package
from release_tool.core_range import CoreRange
from release_tool.errors import ReleaseError
from release_tool.history import current, load_index, source_of
from release_tool.index import Row
from release_tool.project import Project, parse_project
from release_tool.trying import Trial
from release_tool.wheelhouse import DEVSTACK, Wheelhouse, lowest_core

__all__ = ["WhichCore", "downstream_trials", "head_trials"]


class WhichCore(StrEnum):
    """A core that a worker is tried with."""

    LOWEST = "lowest"
    NEWEST = "newest"


def head_trials(house: Wheelhouse, packages: Sequence[Package], cores: Sequence[WhichCore]) -> Iterator[Trial]:
    """The tests of these packages as they stand, each worker with the lowest core of its range and with the newest."""
    for package in packages:
        project = current(house.repository, package)
        wheel, devstack = house.of_head(package), house.of_devstack()
        if project.needs_core is None:
            yield Trial(package, f"core {project.version}", (wheel,), devstack)
            continue
        for name, core in _cores(house, project.needs_core, cores):
            yield Trial(package, f"{package.name} {project.version} with core {name}", (wheel, core), devstack)


def downstream_trials(house: Wheelhouse) -> Iterator[Trial]:
    """The own tests of each worker's last release, as they were then, with core as it stands."""
    repository = house.repository
    core = current(repository, CORE)
    for package in WORKERS:
        row = load_index(repository).latest(package)
        if row is None:
            continue
        commit = source_of(repository, row)
        if core.version not in _needs(_at(house, row, commit)):
            # Nobody can install these two together.
            continue
        yield Trial(
            package,
            f"{package.name} {row.version} as released with core {core.version} as it stands",
            (house.of_release(row), house.of_head(CORE)),
            house.wheel(DEVSTACK, commit),
            tests_at=commit,
        )


def _cores(house: Wheelhouse, needs: CoreRange, wanted: Sequence[WhichCore]) -> Iterator[tuple[str, Path]]:
    repository = house.repository
    newest = current(repository, CORE).version
    row = lowest_core(repository, needs)
    # A core that is the lowest of the range, released and not changed since, is tried once.
    same = row is not None and row.version == newest and not _changed(house, row)
    if row is None:
        yield f"{newest} as it stands (no core of {needs.text} is released yet)", house.of_head(CORE)
        return
    if WhichCore.LOWEST in wanted or same:
        yield f"{row.version}, the lowest{' and newest' if same else ''}", house.of_release(row)
    if WhichCore.NEWEST in wanted and not same:
        yield f"{newest} as it stands", house.of_head(CORE)


def _changed(house: Wheelhouse, row: Row) -> bool:
    return bool(house.repository.changed_since(source_of(house.repository, row), row.package.contents))


def _at(house: Wheelhouse, row: Row, commit: str) -> Project:
    text = house.repository.read_at(commit, row.package.pyproject)
    if text is None:
        raise ReleaseError(f"{row.package.pyproject} is missing at {commit}")
    return parse_project(row.package, text)


def _needs(project: Project) -> CoreRange:
    if project.needs_core is None:
        raise ReleaseError("a worker without a range of core")
    return project.needs_core
