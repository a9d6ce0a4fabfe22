"""The four workers, as the images know them, and where things are in the repository."""

import tomllib
from pathlib import Path

from attrs import frozen

__all__ = ["CORE", "DOCKER", "ROOT", "WORKERS", "Worker", "packaged_version", "worker_named"]

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
CORE = "unstract-worker-core"


@frozen
class Worker:
    """One worker: its short name, the port of its health pages, and the extra that an image may carry."""

    name: str
    health_port: int
    extras: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """Name of its wheel, and of its image."""
        return f"unstract-worker-{self.name}"

    @property
    def image_variable(self) -> str:
        """The variable that pins its image in the compose files."""
        return f"{self.name.upper().replace('-', '_')}_IMAGE"


WORKERS = (
    Worker("api-deployment", 8080),
    Worker("general", 8081),
    Worker("file-processing", 8082, ("chord",)),
    Worker("callback", 8083, ("chord",)),
)


def worker_named(name: str) -> Worker:
    """The worker of this name. Raises ValueError with the names that there are."""
    for worker in WORKERS:
        if worker.name == name:
            return worker
    raise ValueError(f"no worker is called {name!r}: {', '.join(worker.name for worker in WORKERS)}")


def packaged_version(distribution: str) -> str:
    """The version in the package's own pyproject.toml."""
    path = ROOT / "packages" / distribution / "pyproject.toml"
    return str(tomllib.loads(path.read_text(encoding="utf-8"))["project"]["version"])
