"""Runs a package's own tests against its installed wheel, where its sources cannot be reached."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from attrs import frozen

from release_tool.building import CONSTRAINTS, uv
from release_tool.catalogue import CORE, Package
from release_tool.errors import ReleaseError
from release_tool.processes import run
from release_tool.repository import Repository
from release_tool.sources import copy_tests

__all__ = ["Outcome", "Surroundings", "Trial", "run_trials"]

TOOLS = ("pytest>=9", "pytest-timeout>=2.3", "hypothesis>=6.115")


@frozen
class Trial:
    """One run of a package's tests.

    Attributes:
        package: whose tests.
        name: what people read, such as `callback 1.4.0 with core 1.0.0`.
        wheels: the wheels of ours that are installed.
        devstack: the wheel of the development stack that the tests talk to.
        tests_at: the commit that the tests are of; None takes the work tree.
    """

    package: Package
    name: str
    wheels: tuple[Path, ...]
    devstack: Path
    tests_at: str | None = None


@frozen
class Surroundings:
    """What all trials share: interpreter version (None: the one of this tool), newest third party, pytest's options."""

    repository: Repository
    python: str | None = None
    latest: bool = False
    options: tuple[str, ...] = ()


@frozen
class Outcome:
    """How a trial ended; `output` is what pytest said, or why it did not come to that."""

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


def _run_trial(around: Surroundings, trial: Trial, scratch: Path) -> Outcome:
    began = time.monotonic()
    try:
        python = _environment(around, trial, scratch)
        tests = copy_tests(around.repository, trial.package.folder, scratch / "tests", revision=trial.tests_at)
        _check_origin(python, trial, scratch)
    except ReleaseError as error:
        return Outcome(trial, passed=False, seconds=time.monotonic() - began, output=str(error))
    command = [str(python), "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests), *around.options]
    done = subprocess.run(  # noqa: S603 - our own interpreter
        command, cwd=scratch / "tests", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Outcome(trial, passed=done.returncode == 0, seconds=time.monotonic() - began, output=done.stdout)


def _environment(around: Surroundings, trial: Trial, scratch: Path) -> Path:
    folder, root = scratch / "environment", around.repository.root
    interpreter = around.python or sys.executable
    run(uv("venv", "--quiet", "--no-project", "--python", interpreter, str(folder)), cwd=root)
    python = folder / "bin" / "python"
    pins = [] if around.latest else ["--constraint", CONSTRAINTS]
    wheels = [*_requirements(trial.wheels), str(trial.devstack)]
    run(uv("pip", "install", "--quiet", "--python", str(python), *pins, *wheels, *TOOLS), cwd=root)
    run(uv("pip", "check", "--quiet", "--python", str(python)), cwd=root)
    return python


def _requirements(wheels: Iterable[Path]) -> Iterator[str]:
    for wheel in wheels:
        # Tests also cover what is behind core's extra, which the workers pass on.
        is_core = wheel.name.startswith(f"{CORE.module}-")
        yield f"{CORE.distribution}[chord] @ {wheel.as_uri()}" if is_core else str(wheel)


def _check_origin(python: Path, trial: Trial, place: Path) -> None:
    for module in {CORE.module, trial.package.module}:
        code = f"import {module}; print({module}.__file__)"
        origin = Path(run([str(python), "-I", "-c", code], cwd=place).strip())
        if not origin.resolve().is_relative_to(python.parent.parent.resolve()):
            raise ReleaseError(f"{trial.name}: {module} comes from {origin}, not from its wheel")
