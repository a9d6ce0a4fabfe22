"""The git repository that the releases are made of, and the programs that are run in it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from attrs import frozen

SHORT = 12
TAIL_LINES = 40


class ReleaseError(Exception):
    """A release cannot go on; the message says what is wrong, where, and what to do."""


def run(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str | None] | None = None) -> str:
    """Runs a command and returns its standard output.

    Args:
        command: program and arguments.
        cwd: its working folder.
        environment: variables to set, or to remove where the value is None; all others are inherited.

    Raises:
        ReleaseError: the program is missing, or ended with another code than 0; with the end of its output.
    """
    merged = {**os.environ, **(environment or {})}
    variables = {name: value for name, value in merged.items() if value is not None}
    try:
        done = subprocess.run(list(command), cwd=cwd, env=variables, capture_output=True, text=True, check=False)  # noqa: S603 - our own commands, never through a shell
    except FileNotFoundError as error:
        raise ReleaseError(f"{command[0]} is not there: {error}") from None
    if done.returncode != 0:
        end = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-TAIL_LINES:])
        raise ReleaseError(f"`{' '.join(command)}` ended with code {done.returncode}:\n{end}")
    return done.stdout


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
        return self._git_or_none("show", f"{revision}:{path}")

    def commit(self, revision: str) -> str | None:
        """The full hash that a revision names; None if this clone does not hold it."""
        return self._git_or_none("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")

    def introduced(self, text: str, path: PurePosixPath) -> str | None:
        """The first commit of this branch whose version of a file holds a text."""
        commits = self.lines("log", "--format=%H", f"-S{text}", "--", str(path))
        return commits[-1] if commits else None

    def changed_since(self, revision: str, paths: tuple[str, ...]) -> tuple[str, ...]:
        """The files below these paths that differ from a commit, new ones included."""
        tracked = self.lines("diff", "--name-only", revision, "--", *paths)
        untracked = self.lines("ls-files", "--others", "--exclude-standard", "--", *paths)
        return tuple(sorted({*tracked, *untracked}))

    def _git_or_none(self, *arguments: str) -> str | None:
        try:
            return self.git(*arguments)
        except ReleaseError:
            return None


def repository_at(folder: Path) -> Repository:
    """The repository that a folder belongs to."""
    return Repository(Path(run(["git", "rev-parse", "--show-toplevel"], cwd=folder).strip()))
