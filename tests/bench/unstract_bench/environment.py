"""The environments in which the measured processes run, on the system's interpreter if that can run the workers.

Distributions and the official images build their interpreter with profile-guided optimisation. An interpreter that a
version manager built without it makes every runner slower by a fifth to a third.
The workers and bare Celery run in an environment with the workers' wheels and their requirements only, compiled, as in
an image: structlog and kombu import optional packages, such as rich and yaml, wherever they find them.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psutil

from unstract_devstack.fleet import FILE_PROCESSING, WORKERS

ROOT = Path(__file__).resolve().parents[3]
SYSTEM, OLDEST, MINUTE = Path("/usr/bin/python3"), (3, 11), 60.0
# Bare Celery has the workers' own libraries.
LIBRARIES = ("httpx", "redis[hiredis]")
RUNNERS = ("dramatiq[redis]", "taskiq", "taskiq-redis", "aiohttp")
OTHERS = ("celery", "kombu", "redis", "hiredis", "httpx", "dramatiq", "taskiq", "taskiq-redis")
PACKAGES = (*OTHERS, "unstract-worker-core")
_PROBE = f"import ctypes, platform, ssl, sys; sys.version_info >= {OLDEST} and print(platform.python_version())"


class UnusableInterpreter(Exception):
    """The requested interpreter cannot run the workers."""


def version_of(python: Path) -> str | None:
    """The interpreter's version; None if it cannot run the workers."""
    try:
        probe = subprocess.run((python, "-I", "-c", _PROBE), capture_output=True, text=True, check=True, timeout=MINUTE)
    except (OSError, subprocess.SubprocessError):
        return None
    return probe.stdout.strip() or None


def interpreter(wanted: Path | None) -> Path:
    """The interpreter to measure on: the requested one, else the system's, else this one.

    Raises UnusableInterpreter if the requested one cannot run the workers.
    """
    if wanted is None:
        return SYSTEM if version_of(SYSTEM) else Path(sys.executable)
    if version_of(wanted) is None:
        raise UnusableInterpreter(f"{wanted} is no Python {OLDEST[0]}.{OLDEST[1]} or newer with ctypes and ssl")
    return wanted


def use_environments(directory: Path, python: Path) -> None:
    """Make the environments; from now on the workers and `program` use them. Raises SubprocessError."""
    wheels = directory / "wheels"
    for name in ("core", *(kind.name for kind in WORKERS)):
        _uv("build", "--wheel", "--quiet", "--out-dir", str(wheels), str(ROOT / "packages" / f"unstract-worker-{name}"))
    core = next(map(str, wheels.glob("*_core-*.whl")))
    install(directory / "workers", (*map(str, wheels.glob("*.whl")), *LIBRARIES), python)
    install(directory / "runners", (core, *LIBRARIES, *RUNNERS), python)
    for kind in WORKERS:
        os.environ[f"{kind.name.upper().replace('-', '_')}_PYTHON"] = str(directory / "workers" / "bin" / "python")


def program(name: str) -> str:
    """A command of the environment that the workers run in, or else of the other runners'."""
    workers = Path(FILE_PROCESSING.interpreter(0)).parent
    places = (workers / name, workers.parents[1] / "runners" / "bin" / name)
    return str(next((each for each in places if each.exists()), Path(sys.executable).parent / name))


def install(folder: Path, wanted: tuple[str, ...], python: Path, *options: str) -> None:
    """An environment of its own with these in it. Raises SubprocessError."""
    _uv("venv", "--quiet", "--python", str(python), str(folder))
    how = ("--quiet", "--compile-bytecode", "--constraint", str(ROOT / "constraints.txt"), *options)
    _uv("pip", "install", "--python", str(folder / "bin" / "python"), *how, *wanted)


def facts(python: Path, redis_version: str) -> Mapping[str, Any]:
    """The facts that a run's figures depend on. They do not identify the machine."""
    cpu = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    versions = {each.name: each.version for each in distributions()}
    return {
        "cpu": cpu[0].partition(":")[2].strip() if cpu else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": round(os.getloadavg()[0], 2),
        "memory_mib": psutil.virtual_memory().total >> 20,
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": f"{version_of(python)}, the system's" if python == SYSTEM else version_of(python),
        "redis": redis_version,
        "versions": {name: versions[name] for name in PACKAGES if name in versions},
    }


def _uv(*arguments: str) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    subprocess.run((uv, *arguments), check=True, timeout=5 * MINUTE)
