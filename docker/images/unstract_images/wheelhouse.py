"""Fills docker/wheels with all that goes into the images: our wheels, and the third-party ones that the locks pin.

The build then needs no network, and what is installed is what was fetched here, checked by its hash. For images of
several machines the wheels of all lie side by side; pip takes those that fit.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen
from packaging.requirements import Requirement

from unstract_images.locks import Lock, all_locks
from unstract_images.running import ImagesError, run, tool
from unstract_images.workers import CORE, DOCKER, ROOT, WORKERS, Worker, project_of

__all__ = ["WHEELS", "Target", "build_released", "fill", "own_wheel"]

WHEELS = DOCKER / "wheels"
SECONDS = 300.0
MANYLINUX = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")


@frozen
class Target:
    """What the images run on: Python as in "3.11.2", machine as in "x86_64"."""

    python: str
    machine: str

    def takes(self, requirement: str) -> bool:
        """Whether a line of a lock is installed there."""
        marker = Requirement(requirement).marker
        short = ".".join(self.python.split(".")[:2])
        where = {"python_full_version": self.python, "python_version": short, "sys_platform": "linux"}
        return marker is None or marker.evaluate({**where, "platform_machine": self.machine})


def fill(targets: Sequence[Target], *, released: Path | None = None, workers: Sequence[Worker] = WORKERS) -> None:
    """Empties docker/wheels and fills it.

    Args:
        targets: what the images run on.
        released: a folder of wheels to take ours from; without it they are built from the sources here.
        workers: whose images are to be built.
    """
    shutil.rmtree(WHEELS, ignore_errors=True)
    WHEELS.mkdir()
    for distribution in (CORE, *(worker.distribution for worker in workers)):
        if released is None:
            _build(distribution)
        else:
            shutil.copy(_only(distribution, released), WHEELS)
    # Locks of variants differ in their first lines alone where an extra brings nothing.
    for pins in {_pins(lock): None for lock in all_locks(workers)}:
        for target in targets:
            _fetch(pins, target)


def build_released(folder: Path) -> Path:
    """The wheels of the last releases, each from its commit in the index; where they are. Raises ImagesError."""
    tool_of_releases = str(ROOT / ".github" / "release")
    run((sys.executable, tool_of_releases, "wheels", "--released", "--out", str(folder)), seconds=SECONDS)
    return folder


def own_wheel(distribution: str) -> Path:
    """Our wheel in docker/wheels. Raises ImagesError unless there is exactly one."""
    return _only(distribution, WHEELS)


def _build(distribution: str) -> None:
    """A wheel of the sources here."""
    source = ROOT / "packages" / distribution
    run((tool("uv"), "build", "--quiet", "--wheel", str(source), "--out-dir", str(WHEELS)), seconds=SECONDS)
    expected = project_of(distribution)["version"]
    if f"-{expected}-" not in own_wheel(distribution).name:
        raise ImagesError(f"the wheel of {distribution} is not of version {expected}")


def _only(distribution: str, folder: Path) -> Path:
    found = sorted(folder.glob(f"{distribution.replace('-', '_')}-*.whl"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ImagesError(f"{folder} should hold one wheel of {distribution}; it holds {names}")
    return found[0]


def _pins(lock: Lock) -> str:
    """The entries of a lock, without its first lines."""
    return lock.path.read_text(encoding="utf-8").partition("sha256: ")[2].partition("\n")[2]


def _fetch(pins: str, target: Target) -> None:
    platforms = [f"--platform={name}_{target.machine}" for name in MANYLINUX]
    with tempfile.TemporaryDirectory(prefix="unstract-wheels-") as folder:
        # pip evaluates markers for itself, not for the target: it is given what the target takes.
        wanted = Path(folder, "wanted.txt")
        wanted.write_text("\n".join(_taken(pins, target)), encoding="utf-8")
        run(
            (
                *(sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"),
                *("--only-binary=:all:", f"--python-version={target.python}", "--implementation=cp", *platforms),
                *("--dest", str(WHEELS), "-r", str(wanted)),
            ),
            seconds=SECONDS,
        )


def _taken(pins: str, target: Target) -> Iterator[str]:
    for entry in pins.replace("\\\n", " ").splitlines():
        requirement, *hashes = entry.split(" --hash=")
        if requirement and target.takes(requirement.strip()):
            pin = requirement.partition(";")[0].strip()
            yield " ".join((pin, *(f"--hash={each.strip()}" for each in hashes)))
