"""The workers and environments of a deployment, and the record of what was deployed."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "DOCKER",
    "ENVIRONMENTS",
    "WORKERS",
    "DeployFailed",
    "Environment",
    "Refused",
    "Release",
    "Releases",
    "Worker",
]

DOCKER = Path(__file__).resolve().parents[2]


class DeployFailed(Exception):
    """The engine refused, or a worker did not get ready; the message says which and why."""


class Refused(Exception):
    """The environment file or a secret is at fault; nothing was touched. One problem an argument."""


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


class Release(NamedTuple):
    """The image of a worker, and the file with the variables that it was started with."""

    image: str
    variables: str


class Releases(NamedTuple):
    """The current and the previous release of each worker of one environment, kept in a folder."""

    folder: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One deployment at a time, which can read and write its record. Raises DeployFailed before all that."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "lock").open("w")
        except OSError as error:
            raise DeployFailed(f"{self.folder} cannot be written ({error.strerror}): name another --state") from None
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DeployFailed("another deployment of this environment is running") from None
            self._read()
            yield

    def keep_variables(self, text: str) -> Path:
        """Keep a copy of the variables, so that a rollback can start workers with them."""
        return self._write(f"variables-{sha256(text.encode()).hexdigest()[:12]}.env", text)

    def current(self, worker: Worker) -> Release | None:
        """The release that runs; None before the first deployment."""
        return self._read()["current"].get(worker.service)

    def previous(self, worker: Worker) -> Release | None:
        """The different release that ran before."""
        return self._read()["previous"].get(worker.service)

    def record(self, rolled: Mapping[Worker, Release]) -> None:
        """These run now. A worker's earlier release becomes its previous one, unless it is the same."""
        kept = self._read()
        for worker, release in rolled.items():
            before = kept["current"].get(worker.service)
            if before not in (None, release):
                kept["previous"][worker.service] = before
            kept["current"][worker.service] = release
        content = {when: {name: each._asdict() for name, each in kept[when].items()} for when in kept}
        self._write("releases.json", json.dumps(content, indent=2) + "\n")

    def _read(self) -> dict[str, dict[str, Release]]:
        path = self.folder / "releases.json"
        try:
            kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
            return {
                when: {name: Release(**each) for name, each in kept.get(when, {}).items()}
                for when in ("current", "previous")
            }
        except (OSError, ValueError, TypeError, AttributeError):
            problem = f"{path} cannot be read: move it away; then nothing is remembered to roll back to"
            raise DeployFailed(problem) from None

    def _write(self, name: str, text: str) -> Path:
        new = self.folder / f"{name}.new"
        try:
            new.write_text(text, encoding="utf-8")
            return new.replace(self.folder / name)
        except OSError as error:
            raise DeployFailed(f"{self.folder / name} cannot be written ({error.strerror})") from None
