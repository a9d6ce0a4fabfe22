"""What was rolled out: for each worker the image and the variables, now and before."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from unstract_deploy.fleet import DeployFailed, Worker

__all__ = ["Release", "Releases"]


class Release(NamedTuple):
    """What a worker runs: its image, and the file with the variables that it was started with."""

    image: str
    variables: str


class Releases(NamedTuple):
    """The record of one environment, in a folder of its own."""

    folder: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One deployment at a time. Raises DeployFailed while another one runs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DeployFailed("another deployment of this environment is running") from None
            yield

    def keep_variables(self, text: str) -> Path:
        """A copy of the variables, so that a rollback starts workers with those that they had."""
        return self._write(f"variables-{sha256(text.encode()).hexdigest()[:12]}.env", text)

    def current(self, worker: Worker) -> Release | None:
        """What a worker runs now; None before its first deployment."""
        return self._read("current").get(worker.service)

    def previous(self, worker: Worker) -> Release | None:
        """What it ran before."""
        return self._read("previous").get(worker.service)

    def record(self, rolled: Mapping[Worker, Release]) -> None:
        """These run now. What a worker ran becomes its previous release, unless it is the same."""
        current, previous = self._read("current"), self._read("previous")
        for worker, release in rolled.items():
            before = current.get(worker.service)
            if before not in (None, release):
                previous[worker.service] = before
            current[worker.service] = release
        kept = {
            when: {name: release._asdict() for name, release in releases.items()}
            for when, releases in (("current", current), ("previous", previous))
        }
        self._write("releases.json", json.dumps(kept, indent=2) + "\n")

    def _read(self, when: str) -> dict[str, Release]:
        path = self.folder / "releases.json"
        kept = json.loads(path.read_text("utf-8"))[when] if path.exists() else {}
        return {name: Release(**each) for name, each in kept.items()}

    def _write(self, name: str, text: str) -> Path:
        path, new = self.folder / name, self.folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        return new.replace(path)
