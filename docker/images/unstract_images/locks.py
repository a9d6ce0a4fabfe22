"""The locks: for each image, every third-party package by version and hash, for all machines, and nothing else.

A lock follows from the dependencies that the worker's and core's pyproject.toml declare and from constraints.txt, the
versions that everything was tested with. Its first lines hold a digest of the declared dependencies, so that a lock
that was not made again shows without asking an index.
"""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from packaging.requirements import Requirement

from unstract_images.running import run, tool
from unstract_images.workers import CORE, DOCKER, ROOT, VARIANTS, WORKERS, Worker, project_of

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


def lock_of(worker: Worker, variant: str = "") -> Lock:
    """The lock of a variant of a worker's image."""
    extras = VARIANTS[variant]
    declared = {*_declared(worker.distribution, extras), *_declared(CORE, extras)}
    return Lock(f"{worker.name}-{variant}" if variant else worker.name, tuple(sorted(declared)))


def all_locks(workers: Sequence[Worker] = WORKERS) -> Iterator[Lock]:
    """Of all variants of these workers; and of what installs them during a build."""
    for worker in workers:
        yield from (lock_of(worker, variant) for variant in worker.variants)
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
    if f"{DIGEST_LABEL}{declared_digest(lock)}\n" not in lock.path.read_text(encoding="utf-8"):
        return "was made from other dependencies than those declared now"
    return None


def _declared(distribution: str, extras: Sequence[str]) -> Iterator[str]:
    """What a package of ours asks for, without the packages of ours."""
    project: Any = project_of(distribution)
    optional = project.get("optional-dependencies", {})
    for text in [*project["dependencies"], *(each for extra in extras for each in optional.get(extra, ()))]:
        if not Requirement(text).name.startswith("unstract-worker-"):
            yield str(Requirement(text))
