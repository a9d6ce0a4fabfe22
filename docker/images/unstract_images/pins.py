"""The pins in the compose file and the manifests: the newest release of each worker in the release index."""

import re
from pathlib import Path

from unstract_images.workers import DOCKER, ROOT, WORKERS, Worker, packaged_version

__all__ = ["pinned_files", "releasable", "write_pins"]

ROW = re.compile(r"^\|[^|]*\| *(?P<package>unstract-worker-[a-z-]+) *\| *(?P<version>\d+\.\d+\.\d+) *\|", re.MULTILINE)


def releasable(index: str, distribution: str) -> list[str]:
    """The versions of a package that may be pinned, oldest first.

    Those in the release index; as long as that has no row for the package, the version that would be released first.
    """
    rows = {row["version"] for row in ROW.finditer(index) if row["package"] == distribution}
    return sorted(rows, key=_numbers) or [packaged_version(distribution)]


def pinned_files(worker: Worker) -> tuple[Path, ...]:
    """Where a worker's version stands."""
    return (DOCKER / "compose.production.yaml", DOCKER / "kubernetes" / f"{worker.name}.yaml")


def write_pins() -> None:
    """Pins the newest release of each worker."""
    index = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for worker in WORKERS:
        newest = releasable(index, worker.distribution)[-1]
        pin = re.compile(rf"(?<=[ -]){worker.distribution}:\d+\.\d+\.\d+")
        for path in pinned_files(worker):
            text = path.read_text(encoding="utf-8")
            path.write_text(pin.sub(f"{worker.distribution}:{newest}", text), encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
