"""Builds distributions: the same bytes wherever and whenever the same commit is built."""

import hashlib
import sys
from pathlib import Path, PurePosixPath

from attrs import frozen

from release_tool.errors import ReleaseError
from release_tool.processes import run
from release_tool.repository import Repository
from release_tool.sources import copy_sources

__all__ = ["Built", "build_once", "build_twice", "uv"]

CONSTRAINTS = "constraints.txt"
# The second build differs in all that must not matter.
ELSEWHERE = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"}
PRIVATE_UMASK = 0o077


@frozen
class Built:
    """The two files of one build."""

    sdist: Path
    wheel: Path

    @property
    def files(self) -> tuple[Path, Path]:
        """Both."""
        return self.sdist, self.wheel

    def hashes(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in self.files}


def uv(*arguments: str) -> list[str]:
    """A command line of the uv that is installed with this tool."""
    return [sys.executable, "-m", "uv", *arguments]


def build_once(
    repository: Repository,
    folder: PurePosixPath,
    scratch: Path,
    *,
    revision: str | None,
    elsewhere: bool = False,
) -> Built:
    """Builds the sdist of a package, and its wheel from that sdist.

    Args:
        repository: where from.
        folder: the package's folder.
        scratch: an empty folder outside of the repository, for sources and results.
        revision: a commit; None takes the work tree.
        elsewhere: whether to build as on another machine: other umask, time zone, locale and hash seed.
    """
    source = copy_sources(repository, folder, scratch / "source", revision=revision)
    out = scratch / "out"
    epoch = repository.commit_time(revision or "HEAD", folder)
    environment: dict[str, str | None] = {"SOURCE_DATE_EPOCH": str(epoch), "PYTHONPATH": None}
    run(
        uv("build", "--quiet", "--build-constraints", str(repository.root / CONSTRAINTS), "--out-dir", str(out), "."),
        cwd=source,
        environment=environment | (ELSEWHERE if elsewhere else {}),
        umask=PRIVATE_UMASK if elsewhere else -1,
    )
    return Built(sdist=_only(out, "*.tar.gz"), wheel=_only(out, "*.whl"))


def build_twice(repository: Repository, folder: PurePosixPath, scratch: Path, *, revision: str | None) -> Built:
    """Builds a package in two places.

    Raises:
        ReleaseError: the two builds differ.
    """
    first = build_once(repository, folder, scratch / "here", revision=revision)
    second = build_once(repository, folder, scratch / "some" / "where" / "else", revision=revision, elsewhere=True)
    one, other = first.hashes(), second.hashes()
    if one != other:
        differing = ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))
        raise ReleaseError(f"two builds of {folder} differ in {differing}: something of the machine gets into them")
    return first


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ReleaseError(f"{folder} should hold one {pattern}, not {len(found)}")
    return found[0]
