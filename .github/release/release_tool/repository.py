"""The git repository that the releases are made of."""

from pathlib import Path, PurePosixPath

from attrs import frozen

from release_tool.errors import ReleaseError
from release_tool.processes import run

__all__ = ["Repository", "repository_at"]

SHORT = 12


@frozen
class Repository:
    """A work tree and its history. Revisions are anything that git reads as a commit."""

    root: Path

    def git(self, *arguments: str) -> str:
        """What a git command prints, without the last line break."""
        return run(["git", *arguments], cwd=self.root).rstrip("\n")

    def lines(self, *arguments: str) -> tuple[str, ...]:
        """The lines that a git command prints."""
        return tuple(line for line in self.git(*arguments).splitlines() if line)

    def read(self, path: PurePosixPath) -> str:
        """The text of a file in the work tree."""
        file = self.root / path
        if not file.is_file():
            raise ReleaseError(f"{path} is missing from {self.root}")
        return file.read_text(encoding="utf-8")

    def write(self, path: PurePosixPath, text: str) -> None:
        """Replaces the text of a file in the work tree."""
        (self.root / path).write_text(text, encoding="utf-8")

    def read_at(self, revision: str, path: PurePosixPath) -> str | None:
        """The text of a file at a commit; None if the commit or the file is not there."""
        try:
            return self.git("show", f"{revision}:{path}")
        except ReleaseError:
            return None

    def commit(self, revision: str) -> str | None:
        """The full hash that a revision names, None if this clone does not hold it."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except ReleaseError:
            return None

    def commit_time(self, revision: str, folder: PurePosixPath) -> int:
        """When the last commit that touched a folder was made, in seconds since 1970; seen from a commit."""
        return int(self.git("log", "-1", "--format=%ct", revision, "--", str(folder)))

    def introduced(self, text: str, path: PurePosixPath) -> str | None:
        """The first commit of this branch whose version of a file holds a text."""
        commits = self.lines("log", "--format=%H", f"-S{text}", "--", str(path))
        return commits[-1] if commits else None

    def changed_since(self, revision: str, paths: tuple[str, ...]) -> tuple[str, ...]:
        """The files below these paths that differ from a commit, new ones included."""
        tracked = self.lines("diff", "--name-only", revision, "--", *paths)
        untracked = self.lines("ls-files", "--others", "--exclude-standard", "--", *paths)
        return tuple(sorted({*tracked, *untracked}))

    def is_shallow(self) -> bool:
        """Whether this clone lacks history."""
        return self.git("rev-parse", "--is-shallow-repository") == "true"


def repository_at(folder: Path) -> Repository:
    """The repository that a folder belongs to."""
    return Repository(Path(run(["git", "rev-parse", "--show-toplevel"], cwd=folder).strip()))
