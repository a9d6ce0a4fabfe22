"""The record of what was deployed, and of what ran before it."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from unstract_deploy import DeployFailed

__all__ = ["Release", "Releases"]


class Release(NamedTuple):
    """The image of a worker, and the file with the variables that it was started with."""

    image: str
    variables: str


class Releases(NamedTuple):
    """The releases of one environment, kept in a folder."""

    folder: Path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One deployment at a time. Raises DeployFailed now if the record cannot be read or written later."""
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
            self.recorded("current")
            yield

    def recorded(self, when: str) -> dict[str, Release]:
        """The "current" release of each worker, or the different one that ran "previous" to it. Raises DeployFailed."""
        path = self.folder / "releases.json"
        try:
            kept = json.loads(path.read_text("utf-8")) if path.exists() else {}
            # Both are read, so that a fault of either shows before anything is touched.
            found = {part: kept.get(part, {}).items() for part in ("current", "previous")}
            return {part: {worker: Release(**each) for worker, each in found[part]} for part in found}[when]
        except (OSError, ValueError, TypeError, AttributeError):
            problem = f"{path} cannot be read: move it away; then nothing is remembered to roll back to"
            raise DeployFailed(problem) from None

    def record(self, rolled: Mapping[str, Release]) -> None:
        """These run now. A worker's earlier release becomes its previous one, unless it is the same."""
        current, previous = self.recorded("current"), self.recorded("previous")
        previous |= {worker: each for worker, each in current.items() if rolled.get(worker, each) != each}
        kept = {"current": {**current, **rolled}, "previous": previous}
        content = {when: {worker: each._asdict() for worker, each in kept[when].items()} for when in kept}
        self._write("releases.json", json.dumps(content, indent=2) + "\n")

    def keep_variables(self, text: str) -> Path:
        """Keeps a copy of the variables, so that a rollback can start workers with them."""
        return self._write(f"variables-{sha256(text.encode()).hexdigest()[:12]}.env", text)

    def _write(self, name: str, text: str) -> Path:
        new = self.folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        return new.replace(self.folder / name)
