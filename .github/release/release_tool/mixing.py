"""Fleets of workers of different releases, in front of the acceptance tests and of each other's messages."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from attrs import field, frozen

from release_tool.catalogue import WORKERS, Package
from release_tool.complaints import complaints_in
from release_tool.processes import run
from release_tool.repository import Repository

__all__ = ["Ended", "Mix", "Released", "mixes", "reading_faults", "run_mix"]

# A real part of the acceptance: an API run with good, bad and equal files in several batches, an ETL run and a
# scheduled one with their destination, a listing that fails, a webhook, and a file worker that is drained in the middle
# of a batch and hands the rest to another one.
SCENARIOS = (
    "test_acceptance_api.py::test_some_files_fail_and_none_hides_another",
    "test_acceptance_api.py::test_files_that_do_not_divide_by_batches",
    "test_acceptance_api.py::test_equal_files_are_worked_on_once_and_reported_each",
    "test_acceptance_pipelines.py::test_an_etl_run_writes_every_file_to_its_destination_once",
    "test_acceptance_pipelines.py::test_a_scheduled_run_creates_one_execution",
    "test_acceptance_pipelines.py::test_a_listing_error_is_an_error_and_not_an_empty_folder",
    "test_acceptance_pipelines.py::test_a_webhook_tells_of_the_end_once",
    "test_acceptance_drain.py::test_a_drained_file_worker_hands_its_rest_to_the_other",
)
ACCEPTANCE = PurePosixPath("tests/acceptance")
MESSAGES = PurePosixPath("tests/contract/messages")


@frozen
class Released:
    """A worker's last release with the core it was released with, installed; `python` is its interpreter."""

    package: Package
    version: str
    core: str
    python: Path


@frozen
class Mix:
    """One fleet: the workers named here are released ones, the others are those of the work tree."""

    released: tuple[Released, ...]

    @property
    def name(self) -> str:
        """What people read."""
        told = ", ".join(f"{each.package.name} {each.version} (core {each.core})" for each in self.released)
        rest = ", ".join(each.name for each in WORKERS if each not in {one.package for one in self.released})
        return f"released {told} | head {rest}"

    def environment(self, head: Path) -> dict[str, str]:
        """Which interpreter runs which worker. Of two file workers the released one is the first, and is drained."""
        return {
            f"{each.package.name.upper().replace('-', '_')}_PYTHON": os.pathsep.join(map(str, (each.python, head)))
            if each.package.name == "file-processing"
            else str(each.python)
            for each in self.released
        }


@frozen
class Ended:
    """How the scenarios ended with one fleet; `complaints` are what its workers could not read."""

    mix: Mix
    passed: bool
    seconds: float
    output: str = field(repr=False)
    complaints: tuple[str, ...]


def mixes(released: Sequence[Released]) -> Iterator[Mix]:
    """Each released worker among the others of the work tree, and each of the work tree among released ones."""
    for each in released:
        yield Mix((each,))
    for each in released:
        yield Mix(tuple(other for other in released if other is not each))


def reading_faults(repository: Repository, released: Released, head: Path) -> tuple[str, ...]:
    """What a release cannot read of what the work tree writes, and the other way round; the field is named."""
    other = f"{released.package.name} {released.version} with core {released.core}"
    told = [f"{other}: {fault}" for fault in _read(repository, head, released.python, "read-newer")]
    told += [f"head reads {other}: {fault}" for fault in _read(repository, released.python, head, "read-older")]
    return tuple(dict.fromkeys(told))


def run_mix(repository: Repository, mix: Mix, scratch: Path, options: Sequence[str]) -> Ended:
    """Runs the scenarios with one fleet.

    Args:
        repository: whose acceptance tests.
        mix: the fleet.
        scratch: a folder of its own, for what the fleet writes.
        options: further ones for pytest.
    """
    began, head = time.monotonic(), Path(sys.executable)
    nodes = [str(repository.root / ACCEPTANCE / each) for each in SCENARIOS]
    arguments = ["-q", "-x", "-p", "no:cacheprovider", "--basetemp", str(scratch), *options, *nodes]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [str(head), "-m", "pytest", *arguments],
        cwd=repository.root,
        env={**os.environ, **mix.environment(head)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    complaints = () if passed else tuple(complaints_in(scratch))
    return Ended(mix, passed, time.monotonic() - began, done.stdout, complaints)


def _read(repository: Repository, writer: Path, reader: Path, command: str) -> Sequence[str]:
    tool, alone = str(repository.root / MESSAGES), {"PYTHONPATH": None}
    written = run([str(writer), tool, "specimens"], cwd=repository.root, environment=alone)
    done = subprocess.run(  # noqa: S603 - an interpreter of ours
        [str(reader), tool, command],
        cwd=repository.root,
        input=written,
        env=_without(os.environ, "PYTHONPATH"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if done.returncode != 0 else ()


def _without(environment: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key != name}
