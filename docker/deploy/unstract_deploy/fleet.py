"""The workers as a deployment knows them: names, order, and which compose file an environment uses."""

from pathlib import Path
from typing import NamedTuple

__all__ = ["DOCKER", "ENVIRONMENTS", "WORKERS", "DeployFailed", "Environment", "Refused", "Worker"]

DOCKER = Path(__file__).resolve().parents[2]


class DeployFailed(Exception):
    """The engine refused, or a worker did not get ready; the message says which and why."""


class Refused(Exception):
    """The environment file or the machine is not fit for it; nothing was touched. One problem an argument."""


class Worker(NamedTuple):
    """A worker: the name of its compose service, and the short name that the command line also takes."""

    service: str
    short: str

    @property
    def image_variable(self) -> str:
        """The variable that pins its image."""
        return f"{self.service.upper().replace('-', '_')}_IMAGE"


# In the order of deployment: the receiver of a new kind of message runs before its sender does.
WORKERS = (
    Worker("callback", "callback"),
    Worker("file-processing", "file"),
    Worker("general", "general"),
    Worker("api-deployment", "api"),
)


class Environment(NamedTuple):
    """Where to deploy: the compose file, and whether images are built from the sources."""

    name: str
    compose_file: Path
    builds: bool = False

    @property
    def project(self) -> str:
        """Compose's name for everything in it."""
        return f"unstract-workers-{self.name}"


ENVIRONMENTS = {
    "development": Environment("development", DOCKER / "compose.yaml", builds=True),
    "staging": Environment("staging", DOCKER / "compose.production.yaml"),
    "production": Environment("production", DOCKER / "compose.production.yaml"),
}
