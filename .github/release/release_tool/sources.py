"""Copies of a package's sources outside of the work tree, to build and test from."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from release_tool.errors import ReleaseError
from release_tool.repository import Repository

__all__ = ["copy_into", "copy_sources", "copy_tests"]

CONFIGURATION = "pyproject.toml"


def copy_into(folder: Path, file: Path) -> Path:
    """Puts a file into a folder that is made if need be, and returns where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(file, folder / file.name))


def copy_sources(repository: Repository, folder: PurePosixPath, target: Path, *, revision: str | None) -> Path:
    """Puts a folder of the repository below `target` and returns where it is.

    Args:
        repository: where from.
        folder: such as `packages/unstract-worker-core`.
        target: a folder outside of the repository.
        revision: a commit; None takes the work tree, without what git ignores.
    """
    if revision is None:
        _copy(repository, _listed(repository, folder), target)
    else:
        archive = subprocess.run(  # noqa: S603 - git, with a revision of ours
            ["git", "archive", "--format=tar", revision, str(folder)],  # noqa: S607 - the git of the machine
            cwd=repository.root,
            capture_output=True,
            check=False,
        )
        if archive.returncode != 0:
            raise ReleaseError(f"{folder} at {revision}: {archive.stderr.decode(errors='replace').strip()}")
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(target, filter="data")
    return target / folder


def copy_tests(repository: Repository, folder: PurePosixPath, target: Path, *, revision: str | None = None) -> Path:
    """Puts a package's tests below `target`, with what they read beside them, but without its sources."""
    copied = copy_sources(repository, folder, target, revision=revision)
    shutil.rmtree(copied / "src")
    (copied / CONFIGURATION).unlink()
    shutil.copy(repository.root / CONFIGURATION, target / CONFIGURATION)
    return copied


def _listed(repository: Repository, folder: PurePosixPath) -> tuple[str, ...]:
    names = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", str(folder)).split(
        "\0"
    )
    # What is deleted but not committed is still listed.
    return tuple(name for name in names if name and (repository.root / name).is_file())


def _copy(repository: Repository, names: tuple[str, ...], target: Path) -> None:
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(repository.root / name, target / name)
