"""Which packages have changes that nobody can install yet."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from attrs import frozen

from release_tool.catalogue import PACKAGES, Package
from release_tool.changelog import fragments_of
from release_tool.history import commit_of, current, load_index
from release_tool.index import Row
from release_tool.repository import SHORT, Repository

__all__ = ["PackageStatus", "State", "status_of"]


class State(StrEnum):
    """Where a package stands."""

    NEVER_RELEASED = "never released"
    PREPARED = "prepared, not committed"
    CHANGED = "has unreleased changes"
    RELEASED = "nothing to release"


@frozen
class PackageStatus:
    """One package against its last release.

    Attributes:
        version: what pyproject.toml says.
        released: its last row of the index.
        commit: what that release was made of.
        fragments: file names of the changes that are described.
        files: what differs from the release and goes into the wheel.
    """

    package: Package
    version: str
    needs_core: str
    state: State
    released: Row | None
    commit: str | None
    fragments: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def undescribed(self) -> bool:
        """Whether files changed and no fragment says what."""
        return self.state is State.CHANGED and not self.fragments

    def in_words(self) -> Iterator[str]:
        """One line, and a further one for what has to be done."""
        released = "" if self.released is None else f"  {self.released.version} of {self.released.date}"
        at = "" if self.commit is None else f" ({self.commit[:SHORT]})"
        yield f"{self.package.name:16} {self.state}{released}{at}"
        if self.state in (State.CHANGED, State.NEVER_RELEASED):
            yield f"{'':16}   {len(self.fragments)} fragments, {len(self.files)} changed files"
        if self.undescribed:
            yield f"{'':16}   no fragment says what changed: add one to {self.package.fragments}/"

    def as_json(self) -> dict[str, Any]:
        """What `status --json` prints of it."""
        released = None
        if self.released is not None:
            released = {"version": str(self.released.version), "date": self.released.date, "commit": self.commit}
        return {
            "package": self.package.name,
            "distribution": self.package.distribution,
            "version": self.version,
            "needs_core": self.needs_core,
            "state": self.state.name.lower(),
            "unreleased": self.state in (State.CHANGED, State.NEVER_RELEASED),
            "undescribed": self.undescribed,
            "released": released,
            "fragments": list(self.fragments),
            "changed_files": list(self.files),
        }


def status_of(repository: Repository) -> tuple[PackageStatus, ...]:
    """Every package against its last release."""
    return tuple(_status(repository, package) for package in PACKAGES)


def _status(repository: Repository, package: Package) -> PackageStatus:
    project = current(repository, package)
    row = load_index(repository).latest(package)
    commit = None if row is None else commit_of(repository, row)
    fragments = tuple(fragment.path.name for fragment in fragments_of(repository, package))
    if commit is None:
        # Nothing was ever released: all that is there is new.
        files = () if row is not None else repository.lines("ls-files", "--", *package.contents)
    else:
        files = repository.changed_since(commit, package.contents)
    return PackageStatus(
        package=package,
        version=str(project.version),
        needs_core=project.core_text,
        state=_state(row, commit, changed=bool(files or fragments)),
        released=row,
        commit=commit,
        fragments=fragments,
        files=files,
    )


def _state(row: Row | None, commit: str | None, *, changed: bool) -> State:
    if row is None:
        return State.NEVER_RELEASED
    if commit is None:
        return State.PREPARED
    return State.CHANGED if changed else State.RELEASED
