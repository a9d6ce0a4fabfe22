"""The release index: the table in the root CHANGELOG.md with a row for every release of every package.

A row cannot hold the hash of the commit that it is part of. So `prepare` writes `pending`; the commit that brings the
row into the history is the release, and the tag is set on it. `record` writes its hash down with a later commit. Until
then, and in a clone without tags, the history itself tells which commit brought the row.
"""

from pathlib import PurePosixPath
from typing import Self

from attrs import evolve, frozen
from packaging.version import InvalidVersion, Version

from release_tool.catalogue import Package, package_named
from release_tool.errors import ReleaseError

__all__ = ["INDEX", "PENDING", "Index", "Row"]

INDEX = PurePosixPath("CHANGELOG.md")
PENDING = "pending"
HEADER = ("date", "package", "version", "commit", "needs core")


@frozen
class Row:
    """One release. `commit` is None while nobody wrote it down; `needs_core` is `-` for core."""

    date: str
    package: Package
    version: Version
    commit: str | None
    needs_core: str

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
        lines = text.splitlines(keepends=True)
        start = next((number for number, line in enumerate(lines) if _cells(line) == HEADER), None)
        if start is None:
            raise ReleaseError(f"{INDEX} has no table with the columns {', '.join(HEADER)}")
        end = start + 2
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
        rows = tuple(_row(line, number) for number, line in enumerate(lines[start + 2 : end], start + 3))
        return cls("".join(lines[: start + 2]), rows, "".join(lines[end:]))

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

    def with_row(self, row: Row) -> "Index":
        """The index with one more release on top."""
        return evolve(self, rows=(row, *self.rows))


def _row(line: str, number: int) -> Row:
    cells = _cells(line)
    try:
        date, package, version, commit, needs_core = cells
        known = None if commit == PENDING else commit
        return Row(date, package_named(package), Version(version), known, needs_core)
    except (ValueError, InvalidVersion, ReleaseError) as error:
        raise ReleaseError(f"{INDEX}, line {number}: cannot be read as a release ({error})") from None


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
