"""The four workers and the variants of their images, and where things are in the repository."""

import tomllib
from pathlib import Path

from attrs import frozen

__all__ = ["CORE", "DOCKER", "ROOT", "VARIANTS", "WORKERS", "Worker", "project_of", "worker_named"]

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
CORE = "unstract-worker-core"
# The extras that each variant of an image installs; its tag is the version and the variant's name: 1.0.0-chord.
VARIANTS = {"": (), "chord": ("chord",), "platform": ("chord", "platform")}


@frozen
class Worker:
    """One worker: its short name, the port of its health pages, and the variants that its image has."""

    name: str
    health_port: int
    variants: tuple[str, ...] = ("",)

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
    Worker("general", 8081, ("", "chord")),
    Worker("file-processing", 8082, ("", "chord", "platform")),
    Worker("callback", 8083, ("", "chord")),
)


def worker_named(name: str) -> Worker:
    """The worker of this name. Raises ValueError with the names that there are."""
    for worker in WORKERS:
        if worker.name == name:
            return worker
    raise ValueError(f"no worker is called {name!r}: {', '.join(worker.name for worker in WORKERS)}")


def project_of(distribution: str) -> dict[str, object]:
    """[project] of a package's pyproject.toml."""
    path = ROOT / "packages" / distribution / "pyproject.toml"
    project: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return project
