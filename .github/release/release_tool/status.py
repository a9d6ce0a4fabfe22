"""Which packages have changes that cannot be installed yet."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from attrs import frozen

from release_tool.changelog import fragments_of
from release_tool.index import Row, commit_of, load_index
from release_tool.packages import PACKAGES, Package, Project, current
from release_tool.repository import SHORT, Repository


class State(StrEnum):
    """A package compared with its last release."""

    NEVER_RELEASED = "never released"
    PREPARED = "prepared, not committed"
    CHANGED = "has unreleased changes"
    RELEASED = "nothing to release"


@frozen
class PackageStatus:
    """One package compared with its last release.

    Attributes:
        released: its last row of the index.
        commit: the commit of that release.
        fragments: file names of the changes that are described.
        files: the files that differ from the release and go into the wheel.
    """

    package: Package
    project: Project
    state: State
    released: Row | None
    commit: str | None
    fragments: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def unreleased(self) -> bool:
        """Whether there is anything to release."""
        return self.state in (State.CHANGED, State.NEVER_RELEASED)

    @property
    def undescribed(self) -> bool:
        """Whether files changed and no fragment says how."""
        return self.state is State.CHANGED and not self.fragments

    def in_words(self) -> Iterator[str]:
        """One line, and further ones for what has to be done."""
        released = "" if self.released is None else f"  {self.released.version} of {self.released.date}"
        at = "" if self.commit is None else f" ({self.commit[:SHORT]})"
        yield f"{self.package.name:16} {self.state}{released}{at}"
        if self.unreleased:
            next_one = f", on the way to {self.project.version.base_version}" if self.project.in_development else ""
            yield f"{'':16}   {len(self.fragments)} fragments, {len(self.files)} changed files{next_one}"
        if self.undescribed:
            yield f"{'':16}   no fragment says what changed: add one to {self.package.fragments}/"

    def as_json(self) -> dict[str, Any]:
        """Its object in `status --json`."""
        row = self.released
        return {
            "package": self.package.name,
            "distribution": self.package.distribution,
            "version": str(self.project.version),
            "needs_core": self.project.core_text,
            "state": self.state.name.lower(),
            "unreleased": self.unreleased,
            "undescribed": self.undescribed,
            "released": row and {"version": str(row.version), "date": row.date, "commit": self.commit},
            "fragments": list(self.fragments),
            "changed_files": list(self.files),
        }


def status_of(repository: Repository) -> tuple[PackageStatus, ...]:
    """Every package compared with its last release."""
    return tuple(_status(repository, package) for package in PACKAGES)


def _status(repository: Repository, package: Package) -> PackageStatus:
    project = current(repository, package)
    row = load_index(repository).latest(package)
    commit = None if row is None else commit_of(repository, row)
    fragments = tuple(fragments_of(repository, package))
    if row is None:
        files = repository.lines("ls-files", "--", *package.contents)
    else:
        files = repository.changed_since(commit, package.contents) if commit else ()
    state = _state(row, commit, changed=bool(files or fragments))
    return PackageStatus(package, project, state, row, commit, fragments, files)


def _state(row: Row | None, commit: str | None, *, changed: bool) -> State:
    if row is None:
        return State.NEVER_RELEASED
    if commit is None:
        return State.PREPARED
    return State.CHANGED if changed else State.RELEASED
