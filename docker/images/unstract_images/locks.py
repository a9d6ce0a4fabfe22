"""The locks: for each worker's image, every third-party package by version and hash, and nothing else.

A lock follows from the dependencies that the worker's and core's pyproject.toml declare and from constraints.txt, the
versions that everything was tested with. Its first lines hold a digest of the declared dependencies, so that a lock
that was not made again shows without asking an index.
"""

import hashlib
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from packaging.requirements import Requirement

from unstract_images.running import ImagesError, run, tool
from unstract_images.workers import CORE, DOCKER, ROOT, WORKERS, Worker

__all__ = ["LOCKS", "Lock", "all_locks", "declared_digest", "lock_of", "pinned", "refresh", "stale"]

LOCKS = DOCKER / "locks"
DIGEST_LABEL = "# declared dependencies, sha256: "
SECONDS = 180.0


@frozen
class Lock:
    """One lock file, and the requirements that it locks."""

    name: str
    requirements: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return LOCKS / f"{self.name}.txt"


def lock_of(worker: Worker, extra: str = "") -> Lock:
    """The lock of a worker's image, with one of its extras if named."""
    declared = dict.fromkeys((*_declared(worker.distribution, extra), *_declared(CORE, extra)))
    return Lock(f"{worker.name}-{extra}" if extra else worker.name, tuple(sorted(declared)))


def all_locks(workers: Sequence[Worker] = WORKERS) -> Iterator[Lock]:
    """Of these workers, with and without their extras; and what installs them during a build."""
    for worker in workers:
        yield from (lock_of(worker, extra) for extra in ("", *worker.extras))
    yield Lock("build", ("pip>=25",))


def declared_digest(lock: Lock) -> str:
    """Digest of what a lock was made from."""
    return hashlib.sha256("\n".join(lock.requirements).encode()).hexdigest()


def pinned(lock: Lock) -> dict[str, str]:
    """The versions in a lock file, by the package's name."""
    lines = (line.partition(";")[0] for line in lock.path.read_text(encoding="utf-8").splitlines())
    pins = (line.rstrip(" \\").partition("==") for line in lines if "==" in line and not line.startswith((" ", "#")))
    return {name: version for name, _, version in pins}


def refresh(lock: Lock) -> str:
    """The text that this lock should have by the index of today; versions that still fit are kept."""
    with tempfile.TemporaryDirectory(prefix="unstract-lock-") as folder:
        output = Path(folder, "lock.txt")
        if lock.path.exists():
            output.write_text(lock.path.read_text(encoding="utf-8"), encoding="utf-8")
        run(
            (
                *(tool("uv"), "pip", "compile", "--quiet", "-", "--output-file", str(output)),
                *("--universal", "--python-version", "3.11", "--generate-hashes"),
                *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--no-annotate"),
                *("--constraints", str(ROOT / "constraints.txt")),
            ),
            stdin="\n".join(lock.requirements),
            seconds=SECONDS,
        )
        pins = output.read_text(encoding="utf-8")
    head = f"# Made by `hatch run images:lock`; do not edit by hand.\n{DIGEST_LABEL}{declared_digest(lock)}\n"
    return head + "".join(f"{line}\n" for line in pins.splitlines() if not line.startswith("#"))


def stale(lock: Lock) -> str | None:
    """Why a lock file is not current as far as that shows without an index; None if it is."""
    if not lock.path.exists():
        return "is missing"
    told = next(
        (line for line in lock.path.read_text(encoding="utf-8").splitlines() if line.startswith(DIGEST_LABEL)), ""
    )
    if told.removeprefix(DIGEST_LABEL) != declared_digest(lock):
        return "was made from other dependencies than those declared now"
    return None


def _declared(distribution: str, extra: str) -> Iterator[str]:
    """What a package of ours asks for, without the packages of ours."""
    project = _project(distribution)
    wanted = [*project["dependencies"], *project.get("optional-dependencies", {}).get(extra, ())]
    for text in wanted:
        if not Requirement(text).name.startswith("unstract-worker-"):
            yield str(Requirement(text))


def _project(distribution: str) -> Mapping[str, Any]:
    path = ROOT / "packages" / distribution / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project")
    if not isinstance(project, dict):
        raise ImagesError(f"{path} has no [project]")
    return project
