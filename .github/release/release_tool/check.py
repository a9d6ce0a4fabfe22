"""Whether a package, as it stands, is one consistent release."""

from collections.abc import Iterator

from attrs import frozen
from packaging.version import Version

from release_tool.catalogue import Package
from release_tool.changelog import fragments_of, sections_of
from release_tool.errors import ReleaseError
from release_tool.history import commit_of, current, load_index, source_of
from release_tool.index import INDEX, Row
from release_tool.project import Project
from release_tool.ranges import range_faults
from release_tool.repository import SHORT, Repository

__all__ = ["Verdict", "check"]


@frozen
class Verdict:
    """`faults` stand in the way of a release; `notes` are for the person who makes it."""

    project: Project
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def check(repository: Repository, package: Package, *, tag: str | None = None) -> Verdict:
    """Looks at version, tag, changelog, fragments, release index and the range of core.

    On a later commit than the release's, what waits for the next release is a note. A package in development is
    compared with its last release.

    Args:
        repository: its work tree is what is looked at.
        package: which package.
        tag: what the release is to be called; that tag has to be the commit that is checked out.
    """
    project = current(repository, package)
    index = load_index(repository)
    faults: list[str] = []
    notes: list[str] = []
    row = index.find(package, project.version)
    if project.in_development:
        row = index.latest(package)
        text = f"{package.name} {project.version.base_version} is in development: `prepare` makes it a release"
        (notes if tag is None else faults).append(text)
    version = project.version if row is None else row.version
    faults += [
        *_changelog_faults(repository, package, version),
        *_index_faults(repository, package, version, row),
        *_tag_faults(repository, package, version, row, tag, notes),
        *range_faults(repository, package, project),
    ]
    waiting = [*_fragments_left(repository, package), *_range_differs(package, project, row)]
    (notes if tag is None and _went_on(repository, row) else faults).extend(waiting)
    return Verdict(project, tuple(faults), tuple(notes))


def _went_on(repository: Repository, row: Row | None) -> bool:
    source = None if row is None else commit_of(repository, row)
    return source is not None and source != repository.commit("HEAD")


def _fragments_left(repository: Repository, package: Package) -> Iterator[str]:
    left = [fragment.path.name for fragment in fragments_of(repository, package)]
    if left:
        yield f"{package.fragments}/ holds {', '.join(left)}: they belong to the next release"


def _range_differs(package: Package, project: Project, row: Row | None) -> Iterator[str]:
    if row is not None and row.needs_core != project.core_text:
        yield f"{INDEX} says that {package.name} {row.version} needs core {row.needs_core}, not {project.core_text}"


def _changelog_faults(repository: Repository, package: Package, version: Version) -> Iterator[str]:
    sections = sections_of(repository.read(package.changelog))
    newest = sections[0].version if sections else "none"
    if newest != str(version):
        yield f"{package.changelog}: the newest heading is {newest}, the version is {version}"


def _index_faults(repository: Repository, package: Package, version: Version, row: Row | None) -> Iterator[str]:
    if row is None:
        yield f"{INDEX} has no row for {package.distribution} {version}: `prepare` writes it"
        return
    dates = {each.date for each in sections_of(repository.read(package.changelog)) if each.version == str(row.version)}
    if dates and dates != {row.date}:
        yield f"{INDEX} dates {package.name} {row.version} {row.date}, {package.changelog} {', '.join(dates)}"


def _tag_faults(
    repository: Repository, package: Package, version: Version, row: Row | None, tag: str | None, notes: list[str]
) -> Iterator[str]:
    expected = package.tag(version)
    tagged = repository.commit(f"refs/tags/{expected}")
    if tag is not None:
        if tag != expected:
            yield f"the tag is {tag}, but the version of this commit is {version}: its tag is {expected}"
        elif tagged is None or tagged != repository.commit("HEAD"):
            yield f"the tag {tag} is not the commit that is checked out"
    if row is None:
        return
    try:
        source = source_of(repository, row)
    except ReleaseError as error:
        yield str(error)
        return
    if tagged is None:
        notes.append(f"{expected} is not a tag in this clone: git tag -a {expected} {source[:SHORT]}")
    elif tagged != source:
        yield f"the tag {expected} is commit {tagged[:SHORT]}, but {INDEX} says {source[:SHORT]}"
    changed = repository.changed_since(source, package.contents)
    if changed:
        notes.append(f"{len(changed)} files changed since {expected}: they wait for the next release")
