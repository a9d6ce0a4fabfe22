"""Which commit each release was made of."""

from attrs import evolve

from release_tool.catalogue import Package
from release_tool.errors import ReleaseError
from release_tool.index import INDEX, Index, Row
from release_tool.project import Project, parse_project
from release_tool.repository import SHORT, Repository

__all__ = ["commit_of", "current", "load_index", "record", "source_of"]


def load_index(repository: Repository) -> Index:
    """The release index of the work tree."""
    return Index.parse(repository.read(INDEX))


def current(repository: Repository, package: Package) -> Project:
    """What the work tree says of a package."""
    return parse_project(package, repository.read(package.pyproject))


def commit_of(repository: Repository, row: Row) -> str | None:
    """The commit of a release, None while it is only prepared.

    It is the commit that the index names; if that is not written down yet, or history was rewritten since, the tagged
    one; without a tag, the one that brought the row.

    Raises:
        ReleaseError: this clone is shallow and lacks that commit.
    """
    if row.commit is not None:
        known = repository.commit(row.commit)
        if known is not None:
            return known
    tagged = repository.commit(f"refs/tags/{row.package.tag(row.version)}")
    if tagged is not None:
        return tagged
    if repository.is_shallow():
        name = row.package.tag(row.version)
        raise ReleaseError(f"this clone lacks the history of {name}: git fetch --unshallow --tags")
    return repository.introduced(row.identity, INDEX)


def source_of(repository: Repository, row: Row) -> str:
    """The commit to build a release from: its package has that version there.

    Raises:
        ReleaseError: the release is not committed, or its commit holds another version.
    """
    name = row.package.tag(row.version)
    commit = commit_of(repository, row)
    if commit is None:
        raise ReleaseError(f"{name} is prepared but not committed")
    text = repository.read_at(commit, row.package.pyproject)
    found = None if text is None else parse_project(row.package, text).version
    if found != row.version:
        raise ReleaseError(f"{INDEX} says that {name} is commit {commit[:SHORT]}, but there the version is {found}")
    return commit


def record(repository: Repository) -> tuple[Row, ...]:
    """Writes down the commits of the releases whose rows lack them or name lost ones; returns the rows that changed."""
    index = load_index(repository)
    rows = tuple(_recorded(repository, row) for row in index.rows)
    changed = tuple(new for old, new in zip(index.rows, rows, strict=True) if old != new)
    if changed:
        repository.write(INDEX, evolve(index, rows=rows).rendered())
    return changed


def _recorded(repository: Repository, row: Row) -> Row:
    if row.commit is not None and repository.commit(row.commit) is not None:
        return row
    if commit_of(repository, row) is None:
        return row
    return evolve(row, commit=source_of(repository, row)[:SHORT])
