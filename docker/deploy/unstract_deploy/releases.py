"""What was rolled out: for each worker the image and the variables, now and before."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from unstract_deploy.failures import DeployFailed
from unstract_deploy.fleet import Worker

__all__ = ["Placed", "Releases"]


@dataclass(frozen=True, slots=True)
class Placed:
    """What a worker runs: its image, and the file with the variables it was started with."""

    image: str
    variables: str


@dataclass(frozen=True, slots=True)
class Releases:
    """The record of one environment, in a folder of its own."""

    folder: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One deployment at a time. Raises DeployFailed if another is at work."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DeployFailed("another deployment of this environment is at work") from None
            yield

    def keep_variables(self, text: str) -> Path:
        """A copy of the variables, so that a rollback starts workers with those they had."""
        path = self.folder / f"variables-{sha256(text.encode()).hexdigest()[:12]}.env"
        self._write(path, text)
        return path

    def current(self, worker: Worker) -> Placed | None:
        """What a worker runs now."""
        return self._read("current").get(worker.service)

    def previous(self, worker: Worker) -> Placed | None:
        """What it ran before."""
        return self._read("previous").get(worker.service)

    def record(self, worker: Worker, placed: Placed) -> None:
        """A worker runs this now. What it ran stays as its previous one, unless it is the same."""
        current, previous = self._read("current"), self._read("previous")
        before = current.get(worker.service)
        if before is not None and before != placed:
            previous[worker.service] = before
        current[worker.service] = placed
        told = {"current": current, "previous": previous}
        text = {when: {name: asdict(each) for name, each in placed.items()} for when, placed in told.items()}
        self._write(self.folder / "releases.json", json.dumps(text, indent=2) + "\n")

    def _read(self, when: str) -> dict[str, Placed]:
        path = self.folder / "releases.json"
        if not path.exists():
            return {}
        told = json.loads(path.read_text(encoding="utf-8"))[when]
        return {name: Placed(**each) for name, each in told.items()}

    def _write(self, path: Path, text: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
