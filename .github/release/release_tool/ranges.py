"""Whether a worker's range of core is one that can be kept."""

from collections.abc import Iterator

from release_tool.catalogue import CORE, Package
from release_tool.history import current, load_index
from release_tool.index import INDEX
from release_tool.project import Project
from release_tool.repository import Repository

__all__ = ["range_faults"]


def range_faults(repository: Repository, package: Package, project: Project) -> Iterator[str]:
    """What is wrong with the range of core; nothing for core itself."""
    needs = project.needs_core
    if needs is None:
        return
    core = current(repository, CORE).version
    where = f"{package.pyproject} needs core {needs.text}"
    if needs.upper != needs.next_major:
        yield f"{where}: the upper bound must be the next major version, <{needs.next_major}"
    if needs.lower > core:
        yield f"{where}: core is only at {core}"
    elif core not in needs:
        yield f"{where}: core is at {core} already"
    if project.in_development and needs.lower.is_devrelease:
        return  # a release may not: there is no such core to install
    if load_index(repository).find(CORE, needs.lower) is None:
        yield f"{where}: core {needs.lower} is no release of {INDEX}; release it first, or name one that is"
