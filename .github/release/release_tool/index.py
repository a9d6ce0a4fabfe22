"""The release index: the table in the root CHANGELOG.md with a row for every release of every package.

A row cannot hold the hash of its own commit: `prepare` writes `pending`, and `record` fills it in with a later commit.
Until then the release is the tagged commit or, in a clone without tags, the commit that brought the row. The same holds
where history was rewritten and the recorded commit is lost.
"""

import re
from pathlib import PurePosixPath
from typing import Self

from attrs import evolve, frozen
from packaging.version import InvalidVersion, Version

from release_tool.packages import Package, package_named, parse_project
from release_tool.repository import SHORT, ReleaseError, Repository

INDEX = PurePosixPath("CHANGELOG.md")
PENDING = "pending"
HEADER = ("date", "package", "version", "commit", "needs core")
TABLE = re.compile(rf"^\| *{' *[|] *'.join(HEADER)} *\|\n.*\n(?P<rows>(\|.*(\n|\Z))*)", re.MULTILINE)


@frozen
class Row:
    """One release. `commit` is None while it is not recorded; `needs_core` is `-` for core."""

    date: str
    package: Package
    version: Version
    commit: str | None
    needs_core: str

    @property
    def tag(self) -> str:
        """The tag of this release."""
        return self.package.tag(self.version)

    @property
    def identity(self) -> str:
        """The part of the row that never changes."""
        return f"| {self.package.distribution} | {self.version} |"

    def rendered(self) -> str:
        """The line of the table."""
        return f"| {self.date} {self.identity} {self.commit or PENDING} | {self.needs_core} |"


@frozen
class Index:
    """The table, newest row first, and the text around it."""

    before: str
    rows: tuple[Row, ...]
    after: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the text of the root CHANGELOG.md.

        Raises:
            ReleaseError: the table is missing or a row of it cannot be read.
        """
        table = TABLE.search(text)
        if table is None:
            raise ReleaseError(f"{INDEX} has no table with the columns {', '.join(HEADER)}")
        before, rows = text[: table.start("rows")], table["rows"].splitlines()
        first = before.count("\n") + 1
        return cls(before, tuple(_row(row, first + number) for number, row in enumerate(rows)), text[table.end() :])

    def rendered(self) -> str:
        """The text of the root CHANGELOG.md."""
        return self.before + "".join(f"{row.rendered()}\n" for row in self.rows) + self.after

    def of(self, package: Package) -> tuple[Row, ...]:
        """A package's releases, highest version first."""
        rows = (row for row in self.rows if row.package == package)
        return tuple(sorted(rows, key=lambda row: row.version, reverse=True))

    def latest(self, package: Package) -> Row | None:
        """A package's release of the highest version."""
        return next(iter(self.of(package)), None)

    def find(self, package: Package, version: Version) -> Row | None:
        """One release."""
        return next((row for row in self.of(package) if row.version == version), None)


def load_index(repository: Repository) -> Index:
    """The release index of the work tree."""
    return Index.parse(repository.read(INDEX))


def release_of(repository: Repository, package: Package, version: Version | None) -> Row:
    """A release by its version, or the newest one.

    Raises:
        ReleaseError: there is no such release.
    """
    index = load_index(repository)
    row = index.latest(package) if version is None else index.find(package, version)
    if row is None:
        raise ReleaseError(f"{package.name} {version or ''} is no release of {INDEX}")
    return row


def commit_of(repository: Repository, row: Row) -> str | None:
    """The commit of a release; None while it is only prepared.

    Raises:
        ReleaseError: this clone is shallow and lacks that commit.
    """
    known = None if row.commit is None else repository.commit(row.commit)
    known = known or repository.commit(f"refs/tags/{row.tag}")
    if known is None and repository.git("rev-parse", "--is-shallow-repository") == "true":
        raise ReleaseError(f"this clone lacks the history of {row.tag}: git fetch --unshallow --tags")
    return known or repository.introduced(row.identity, INDEX)


def source_of(repository: Repository, row: Row) -> str:
    """The commit to build a release from: its package has that version there.

    Raises:
        ReleaseError: the release is not committed, or its commit holds another version.
    """
    commit = commit_of(repository, row)
    if commit is None:
        raise ReleaseError(f"{row.tag} is prepared but not committed")
    text = repository.read_at(commit, row.package.pyproject)
    found = None if text is None else parse_project(row.package, text).version
    if found != row.version:
        raise ReleaseError(f"{INDEX} says that {row.tag} is commit {commit[:SHORT]}, but there the version is {found}")
    return commit


def record(repository: Repository) -> tuple[Row, ...]:
    """Writes the commits of the releases whose rows lack them or name lost ones; returns the rows that changed."""
    index = load_index(repository)
    rows = tuple(_recorded(repository, row) for row in index.rows)
    changed = tuple(new for old, new in zip(index.rows, rows, strict=True) if old != new)
    if changed:
        repository.write(INDEX, evolve(index, rows=rows).rendered())
    return changed


def _recorded(repository: Repository, row: Row) -> Row:
    kept = row.commit is not None and repository.commit(row.commit) is not None
    if kept or commit_of(repository, row) is None:
        return row
    return evolve(row, commit=source_of(repository, row)[:SHORT])


def _row(line: str, number: int) -> Row:
    try:
        date, package, version, commit, needs_core = map(str.strip, line.strip("| ").split("|"))
        return Row(date, package_named(package), Version(version), None if commit == PENDING else commit, needs_core)
    except (ValueError, InvalidVersion, ReleaseError) as error:
        raise ReleaseError(f"{INDEX}, line {number}: cannot be read as a release ({error})") from None
