"""The workers as a deployment knows them: names, order, and which compose file an environment uses."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENTS", "WORKERS", "Environment", "Worker", "worker_called"]

DOCKER = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker: the name of its service, and what people call it for short."""

    service: str
    short: str

    @property
    def image_variable(self) -> str:
        """The variable that pins its image."""
        return f"{self.service.upper().replace('-', '_')}_IMAGE"


# From the end of the line to its start: who receives a new kind of message is there before who sends it.
WORKERS = (
    Worker("callback", "callback"),
    Worker("file-processing", "file"),
    Worker("general", "general"),
    Worker("api-deployment", "api"),
)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where to deploy: the compose file, the environment file, and whether images are built from the sources."""

    name: str
    compose_file: Path
    variables_file: Path
    builds: bool

    @property
    def project(self) -> str:
        """Compose's name for everything in it."""
        return f"unstract-workers-{self.name}"


ENVIRONMENTS = {
    name: Environment(name, DOCKER / compose, DOCKER / "environments" / f"{name}.env", builds=name == "development")
    for name, compose in (
        ("development", "compose.yaml"),
        ("staging", "compose.production.yaml"),
        ("production", "compose.production.yaml"),
    )
}


def worker_called(name: str) -> Worker:
    """The worker of a service's or a short name. Raises ValueError."""
    for worker in WORKERS:
        if name in (worker.service, worker.short):
            return worker
    raise ValueError(f"no worker is called {name!r}: {', '.join(worker.service for worker in WORKERS)}")
