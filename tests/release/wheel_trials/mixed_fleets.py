"""Fleets of workers of different releases, in front of the acceptance tests and of each other's messages."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import field, frozen
from release_tool.building import CONSTRAINTS, Wheelhouse, copy_sources, uv
from release_tool.index import INDEX, Index, Row, load_index, release_of, source_of
from release_tool.packages import CORE, WORKERS, Package
from release_tool.repository import ReleaseError, Repository, run

from wheel_trials.installed_tests import check_origin

__all__ = ["FleetResult", "Mix", "Released", "install_released", "mixes", "reading_faults", "run_mix"]

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
# In front of a fleet whose file worker alone is of the work tree: no release before 1.0 has the platform executor.
EXECUTOR_SCENARIO = "test_executor_faults.py::test_files_get_their_results_and_each_is_extracted_once[redis]"
ACCEPTANCE = PurePosixPath("tests/acceptance")
EXECUTOR = PurePosixPath("tests/executor")
MESSAGES = PurePosixPath("tests/contract/messages")
COMPLAINTS = 20
COMPLAINT_WIDTH = 400


@frozen
class Released:
    """A worker's last release with the core it was released with, installed.

    Attributes:
        python: its interpreter.
        messages: the tool of that release that writes and reads examples of messages and records.
    """

    package: Package
    version: str
    core: str
    python: Path
    messages: Path


@frozen
class Mix:
    """One fleet: the workers named here are released ones, the others are those of the work tree."""

    released: tuple[Released, ...]

    @property
    def name(self) -> str:
        """Such as `released callback 1.4.0 (core 1.2.0) | head api-deployment, general, file-processing`."""
        released = ", ".join(f"{each.package.name} {each.version} (core {each.core})" for each in self.released)
        rest = ", ".join(each.name for each in WORKERS if each not in {one.package for one in self.released})
        return f"released {released} | head {rest}"

    def environment(self, head: Path) -> dict[str, str]:
        """Which interpreter runs which worker. Of two file workers the released one is the first, and is drained."""
        return {
            f"{each.package.name.upper().replace('-', '_')}_PYTHON": os.pathsep.join(map(str, (each.python, head)))
            if each.package.name == "file-processing"
            else str(each.python)
            for each in self.released
        }

    @property
    def scenarios(self) -> tuple[str, ...]:
        """What is tried with it, as paths of tests."""
        others = {each.name for each in WORKERS} - {each.package.name for each in self.released}
        own = (str(EXECUTOR / EXECUTOR_SCENARIO),) if others == {"file-processing"} else ()
        return (*(str(ACCEPTANCE / each) for each in SCENARIOS), *own)

    def concerns(self, packages: Sequence[Package]) -> bool:
        """Whether one of these packages is on the smaller side of the fleet."""
        inside = {each.package for each in self.released}
        return bool((inside if len(inside) == 1 else set(WORKERS) - inside) & set(packages))


@frozen
class FleetResult:
    """The end of the scenarios with one fleet; `complaints` are the warnings and errors that its workers logged."""

    mix: Mix
    passed: bool
    seconds: float
    output: str = field(repr=False)
    complaints: tuple[str, ...]


def install_released(house: Wheelhouse, scratch: Path) -> Iterator[Released]:
    """Installs each worker's last release, with the newest core of its time, into an environment of its own."""
    root = house.repository.root
    for package in WORKERS:
        row = release_of(house.repository, package, None)
        core = _core_of(house.repository, row)
        folder = scratch / package.name
        run(uv("venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)), cwd=root)
        python = folder / "bin" / "python"
        install = uv("pip", "install", "--quiet", "--python", str(python), "--constraint", CONSTRAINTS)
        run([*install, str(house.of_release(row)), str(house.of_release(core))], cwd=root)
        check_origin(python, CORE.module, package.module)
        commit = source_of(house.repository, row)
        messages = copy_sources(house.repository, MESSAGES, folder / "source", revision=commit)
        yield Released(package, str(row.version), str(core.version), python, messages)


def mixes(released: Sequence[Released]) -> Iterator[Mix]:
    """Each released worker among the others of the work tree, and each of the work tree among released ones."""
    for each in released:
        yield Mix((each,))
    for each in released:
        yield Mix(tuple(other for other in released if other is not each))


def reading_faults(repository: Repository, released: Released, head: Path) -> tuple[str, ...]:
    """The fields that a release cannot read of the work tree's messages and records, and the other way round."""
    other = f"{released.package.name} {released.version} with core {released.core}"
    new, old = (head, repository.root / MESSAGES), (released.python, released.messages)
    faults = [f"{other}: {fault}" for fault in _read(repository, new, old, "read-newer")]
    faults += [f"head reads {other}: {fault}" for fault in _read(repository, old, new, "read-older")]
    return tuple(dict.fromkeys(faults))


def run_mix(repository: Repository, mix: Mix, scratch: Path, options: Sequence[str]) -> FleetResult:
    """Runs the scenarios with one fleet.

    Args:
        repository: whose acceptance tests.
        mix: the fleet.
        scratch: a folder of its own, for the logs and data of the fleet.
        options: further ones for pytest.
    """
    began, head = time.monotonic(), Path(sys.executable)
    nodes = [str(repository.root / each) for each in mix.scenarios]
    done = subprocess.run(
        [str(head), "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--basetemp", str(scratch), *options, *nodes],
        cwd=repository.root,
        env={**os.environ, **mix.environment(head)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    return FleetResult(mix, passed, time.monotonic() - began, done.stdout, () if passed else complaints_in(scratch))


def complaints_in(folder: Path) -> tuple[str, ...]:
    """Warnings and errors in all `*.log` files below a folder, each once, at most 20: they name the unreadable field."""
    found: dict[str, None] = {}
    for file in sorted(folder.rglob("*.log")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            complaint = _complaint(line)
            if complaint is not None:
                found.setdefault(f"{file.stem}: {complaint}")
    return tuple(found)[:COMPLAINTS]


def _complaint(line: str) -> str | None:
    try:
        record: Any = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("level") not in ("warning", "error", "critical"):
        return None
    reason = next((str(record[key]) for key in ("reason", "error", "exception") if record.get(key)), "")
    return f"{record.get('event', '')}: {reason}"[:COMPLAINT_WIDTH]


def _core_of(repository: Repository, row: Row) -> Row:
    """The newest core that was released when this release was."""
    commit = source_of(repository, row)
    then = Index.parse(repository.read_at(commit, INDEX) or "").latest(CORE)
    known = None if then is None else load_index(repository).find(CORE, then.version)
    if known is None:
        raise ReleaseError(f"{INDEX} at {commit} knows no release of core")
    return known


def _read(repository: Repository, writer: tuple[Path, Path], reader: tuple[Path, Path], command: str) -> Sequence[str]:
    """What one interpreter with its tool cannot read of another one's examples."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    written = run([*map(str, writer), "specimens"], cwd=repository.root, environment={"PYTHONPATH": None})
    done = subprocess.run(
        [*map(str, reader), command],
        cwd=repository.root,
        input=written,
        env=alone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.splitlines() if done.returncode != 0 else ()
