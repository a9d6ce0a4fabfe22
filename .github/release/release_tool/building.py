"""Builds distributions: the same bytes wherever and whenever the same commit is built."""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from attrs import define, field, frozen

from release_tool.index import Row, source_of
from release_tool.packages import Package
from release_tool.repository import ReleaseError, Repository, run

CONSTRAINTS = "constraints.txt"
# The second build differs in all that must not matter; its umask is private.
ELSEWHERE = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "7"}


@frozen
class Built:
    """The two files of one build."""

    sdist: Path
    wheel: Path

    def hashes(self) -> dict[str, str]:
        """SHA-256 by file name."""
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (self.sdist, self.wheel)}


@define
class Wheelhouse:
    """Builds each wheel once. Wheels of one version from different commits never meet in one folder."""

    repository: Repository
    scratch: Path
    _built: dict[tuple[PurePosixPath, str | None], Path] = field(factory=dict, init=False, repr=False)

    def of_head(self, package: Package) -> Path:
        """The wheel of the work tree."""
        return self.wheel(package.folder, None)

    def of_release(self, row: Row) -> Path:
        """The wheel of a release, from its commit."""
        return self.wheel(row.package.folder, source_of(self.repository, row))

    def wheel(self, folder: PurePosixPath, revision: str | None) -> Path:
        """The wheel of a folder of the repository at a commit, or of the work tree."""
        key = (folder, revision)
        if key not in self._built:
            place = self.scratch / f"{folder.name}-{(revision or 'worktree')[:12]}"
            self._built[key] = _build(self.repository, folder, place, revision=revision).wheel
        return self._built[key]


def build_twice(repository: Repository, folder: PurePosixPath, scratch: Path, *, revision: str | None) -> Built:
    """Builds a package in two places; `revision` is a commit, None takes the work tree.

    Raises:
        ReleaseError: the two builds differ.
    """
    first = _build(repository, folder, scratch / "here", revision=revision)
    second = _build(repository, folder, scratch / "some" / "where" / "else", revision=revision, elsewhere=True)
    one, other = first.hashes(), second.hashes()
    if one != other:
        differing = ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))
        raise ReleaseError(f"two builds of {folder} differ in {differing}: something of the machine gets into them")
    return first


def _build(
    repository: Repository, folder: PurePosixPath, scratch: Path, *, revision: str | None, elsewhere: bool = False
) -> Built:
    """Builds the sdist of a package, and its wheel from that sdist; `elsewhere`: as on another machine."""
    source = copy_sources(repository, folder, scratch / "source", revision=revision)
    out = scratch / "out"
    # The last commit that touched the package: later ones elsewhere change no hash.
    epoch = repository.git("log", "-1", "--format=%ct", revision or "HEAD", "--", str(folder))
    environment: dict[str, str | None] = {"SOURCE_DATE_EPOCH": epoch, "PYTHONPATH": None}
    pins = ["--build-constraints", str(repository.root / CONSTRAINTS)]
    command = uv("build", "--quiet", *pins, "--out-dir", str(out), ".")
    if elsewhere:
        environment.update(ELSEWHERE)
        command = ["sh", "-c", 'umask 077 && exec "$@"', "sh", *command]
    run(command, cwd=source, environment=environment)
    return Built(sdist=_only(out, "*.tar.gz"), wheel=_only(out, "*.whl"))


def copy_sources(repository: Repository, folder: PurePosixPath, target: Path, *, revision: str | None) -> Path:
    """Copies a folder of the repository to below `target` and returns where it is.

    Args:
        repository: the source.
        folder: such as `packages/unstract-worker-core`.
        target: a folder outside of the repository; it is created.
        revision: a commit; None takes the work tree, without what git ignores.
    """
    target.mkdir(parents=True, exist_ok=True)
    if revision is not None:
        archive = target.with_suffix(".tar")
        repository.git("archive", "--format=tar", f"--output={archive}", revision, str(folder))
        shutil.unpack_archive(archive, target, filter="data")
        archive.unlink()
        return target / folder
    listed = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(folder))
    for name in listed.split("\0"):
        # What is deleted but not committed is still listed.
        if name and (repository.root / name).is_file():
            copy_into((target / name).parent, repository.root / name)
    return target / folder


def copy_into(folder: Path, file: Path) -> Path:
    """Copies a file into a folder, which is created, and returns where it is. Raises ReleaseError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(file, folder / file.name))
    except OSError as error:
        raise ReleaseError(f"{file.name} cannot be copied to {folder}: {error.strerror}") from None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for what is built and tried, by its real path; it is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="release-", ignore_cleanup_errors=True) as name:
        yield Path(name).resolve()


def uv(*arguments: str) -> list[str]:
    """A command line of the uv that is installed with this tool."""
    return [sys.executable, "-m", "uv", *arguments]


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise ReleaseError(f"{folder} should hold one {pattern}, not {len(found)}")
    return found[0]
