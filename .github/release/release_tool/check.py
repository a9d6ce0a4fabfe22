"""Whether a package, as it is in the work tree, is one consistent release."""

from collections.abc import Iterator

from attrs import frozen
from packaging.version import Version

from release_tool.changelog import fragments_of, sections_of
from release_tool.index import INDEX, Row, commit_of, load_index, source_of
from release_tool.packages import CORE, Package, Project, current
from release_tool.repository import SHORT, ReleaseError, Repository


@frozen
class CheckResult:
    """`faults` prevent a release; `notes` are for the person who makes it."""

    project: Project
    faults: tuple[str, ...]
    notes: tuple[str, ...]


def check(repository: Repository, package: Package, *, tag: str | None = None) -> CheckResult:
    """Compares version, tag, changelog, fragments, release index and the range of core.

    On a later commit than the release's, what waits for the next release is a note. A package in development is
    compared with its last release.

    Args:
        repository: its work tree is checked.
        package: which package.
        tag: the tag of the release; it has to be the commit that is checked out.
    """
    project, index = current(repository, package), load_index(repository)
    row = index.latest(package) if project.in_development else index.find(package, project.version)
    version = project.version if row is None else row.version
    faults = [
        *_changelog_faults(repository, package, version, row),
        *_tag_faults(repository, package, version, tag),
        *range_faults(repository, package, project),
    ]
    notes: list[str] = []
    if row is not None:
        try:
            source = source_of(repository, row)
        except ReleaseError as error:
            faults.append(str(error))
        else:
            tagged = repository.commit(f"refs/tags/{row.tag}") or source
            if tagged != source:
                faults.append(f"the tag {row.tag} is commit {tagged[:SHORT]}, but {INDEX} says {source[:SHORT]}")
            notes += _later(repository, row, source)
    # What only a later commit may have.
    released = None if row is None else commit_of(repository, row)
    went_on = tag is None and released is not None and released != repository.commit("HEAD")
    (notes if went_on else faults).extend(_waiting(repository, package, project, row))
    return CheckResult(project, tuple(faults), tuple(notes))


def range_faults(repository: Repository, package: Package, project: Project) -> Iterator[str]:
    """Why the range of core cannot be kept; nothing for core itself."""
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
        return  # a release may not need one in development: there is no such core to install
    if load_index(repository).find(CORE, needs.lower) is None:
        yield f"{where}: core {needs.lower} is no release of {INDEX}; release it first, or name one that is"


def _changelog_faults(repository: Repository, package: Package, version: Version, row: Row | None) -> Iterator[str]:
    sections = sections_of(repository.read(package.changelog))
    newest = sections[0].version if sections else "none"
    if newest != str(version):
        yield f"{package.changelog}: the newest heading is {newest}, the version is {version}"
    if row is None:
        yield f"{INDEX} has no row for {package.distribution} {version}: `prepare` writes it"
        return
    for section in sections:
        if section.version == str(version) and section.date != row.date:
            yield f"{INDEX} dates {package.name} {version} {row.date}, {package.changelog} {section.date}"


def _tag_faults(repository: Repository, package: Package, version: Version, tag: str | None) -> Iterator[str]:
    if tag not in (None, expected := package.tag(version)):
        yield f"the tag is {tag}, but the version of this commit is {version}: its tag is {expected}"
    elif tag and repository.commit(f"refs/tags/{tag}") != repository.commit("HEAD"):
        yield f"the tag {tag} is not the commit that is checked out"


def _later(repository: Repository, row: Row, source: str) -> Iterator[str]:
    if repository.commit(f"refs/tags/{row.tag}") is None:
        yield f"{row.tag} is not a tag in this clone: git tag -a {row.tag} {source[:SHORT]}"
    changed = repository.changed_since(source, row.package.contents)
    if changed:
        yield f"{len(changed)} files changed since {row.tag}: they wait for the next release"


def _waiting(repository: Repository, package: Package, project: Project, row: Row | None) -> Iterator[str]:
    if project.in_development:
        yield f"{package.name} {project.version.base_version} is in development: `prepare` makes it a release"
    if left := fragments_of(repository, package):
        yield f"{package.fragments}/ holds {', '.join(left)}: they belong to the next release"
    if row is not None and row.needs_core != project.core_text:
        yield f"{INDEX} says that {package.name} {row.version} needs core {row.needs_core}, not {project.core_text}"
