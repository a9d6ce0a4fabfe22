"""Runs a package's own tests against its installed wheel, where its sources cannot be reached."""

import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from enum import StrEnum
from pathlib import Path

from attrs import frozen
from packaging.requirements import Requirement
from release_tool.building import CONSTRAINTS, copy_into, copy_sources, uv
from release_tool.packages import CORE
from release_tool.repository import ReleaseError, Repository, run

from wheel_trials.trials import Trial

__all__ = ["Outcome", "Surroundings", "ThirdParty", "check_origin", "run_trials"]

TOOLS = ("pytest>=9", "pytest-timeout>=2.3", "hypothesis>=6.115")
CONFIGURATION = "pyproject.toml"
# Tests also cover what is behind these extras; the workers pass core's on.
EXTRAS = {CORE.module: "chord", "unstract_worker_file_processing": "platform,sftp"}


class ThirdParty(StrEnum):
    """Which versions of third-party packages are installed: those of constraints.txt, or the ends of the ranges."""

    PINNED = "pinned"
    NEWEST = "newest"
    LOWEST = "lowest"


@frozen
class Surroundings:
    """What all trials share.

    Attributes:
        repository: whose tests.
        third_party: versions of the packages of others.
        python: version of the interpreter; None takes the one of this tool.
        options: further ones for pytest.
    """

    repository: Repository
    third_party: ThirdParty = ThirdParty.PINNED
    python: str | None = None
    options: tuple[str, ...] = ()


@frozen
class Outcome:
    """The end of a trial; `output` is pytest's, or the error that came before."""

    trial: Trial
    passed: bool
    seconds: float
    output: str


def run_trials(around: Surroundings, trials: Sequence[Trial], scratch: Path, *, jobs: int) -> Iterator[Outcome]:
    """Runs trials, `jobs` at a time, each in an environment of its own; yields each as it ends."""
    with ThreadPoolExecutor(jobs) as pool:
        running = [
            pool.submit(_run_trial, around, trial, scratch / f"trial-{number}") for number, trial in enumerate(trials)
        ]
        yield from (each.result() for each in as_completed(running))


def check_origin(python: Path, *modules: str) -> None:
    """Raises ReleaseError if an interpreter imports one of these modules from outside of its own environment."""
    environment = python.parent.parent
    for module in modules:
        code = f"import {module}; print({module}.__file__)"
        origin = Path(run([str(python), "-I", "-c", code], cwd=environment).strip())
        if not origin.resolve().is_relative_to(environment.resolve()):
            raise ReleaseError(f"{module} comes from {origin}, not from its wheel")


def _run_trial(around: Surroundings, trial: Trial, scratch: Path) -> Outcome:
    began = time.monotonic()
    try:
        python = _environment(around, trial, scratch / "environment")
        tests = _copy_tests(around.repository, trial, scratch / "tests")
        check_origin(python, CORE.module, trial.package.module)
    except ReleaseError as error:
        return Outcome(trial, passed=False, seconds=time.monotonic() - began, output=str(error))
    command = [str(python), "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), *around.options]
    done = subprocess.run(
        command, cwd=scratch / "tests", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(trial, passed=done.returncode == 0, seconds=time.monotonic() - began, output=done.stdout)


def _environment(around: Surroundings, trial: Trial, folder: Path) -> Path:
    root = around.repository.root
    run(uv("venv", "--quiet", "--no-project", "--python", around.python or sys.executable, str(folder)), cwd=root)
    python = folder / "bin" / "python"
    install = uv("pip", "install", "--quiet", "--python", str(python))
    wheels = list(map(_requirement, trial.wheels))
    # The variable pins everything in the environment of this tool.
    own: Mapping[str, str | None] = {"UV_CONSTRAINT": None}
    if around.third_party is ThirdParty.PINNED:
        install += ["--constraint", CONSTRAINTS]
    if around.third_party is ThirdParty.LOWEST:
        # What is named on the command line is resolved to the lowest version that core's ranges allow.
        run(
            [*install, "--resolution", "lowest-direct", *wheels, *_dependencies(around.repository)],
            cwd=root,
            environment=own,
        )
    run([*install, *wheels, str(trial.devstack), *TOOLS], cwd=root, environment=own)
    run(uv("pip", "check", "--quiet", "--python", str(python)), cwd=root)
    return python


def _dependencies(repository: Repository) -> Iterator[str]:
    """The names of core's direct dependencies, and of kombu, whose private parts it extends too."""
    declared = tomllib.loads(repository.read(CORE.pyproject))["project"]["dependencies"]
    yield from (Requirement(each).name for each in declared)
    yield "kombu"


def _requirement(wheel: Path) -> str:
    module = wheel.name.partition("-")[0]
    return f"{module.replace('_', '-')}[{EXTRAS[module]}] @ {wheel.as_uri()}" if module in EXTRAS else str(wheel)


def _copy_tests(repository: Repository, trial: Trial, target: Path) -> Path:
    """Copies a package's tests with the files that they read beside them, but without its sources."""
    copied = copy_sources(repository, trial.package.folder, target, revision=trial.tests_at)
    shutil.rmtree(copied / "src")
    (copied / CONFIGURATION).unlink()
    copy_into(target, repository.root / CONFIGURATION)
    return copied
