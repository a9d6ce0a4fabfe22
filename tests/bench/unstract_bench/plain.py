"""The environment that is measured: the workers' wheels and what they need, compiled, as in an image.

What is installed beside them counts otherwise: structlog imports rich, kombu imports yaml, wherever they find them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

from unstract_devstack.fleet import FILE_PROCESSING, WORKERS

__all__ = ["ROOT", "build_wheels", "install", "packages_here", "program", "use_plain_environment"]

ROOT = Path(__file__).resolve().parents[3]
MINUTES = 5 * 60
# The workers' own six libraries but one: bare Celery calls with httpx.
_FOR_THE_BASELINE = ("httpx",)


def use_plain_environment(directory: Path) -> None:
    """Make it in `directory`; from now on the workers and bare Celery run in it. Raises SubprocessError."""
    wheels = build_wheels(directory / "wheels")
    install(directory / "plain", (*map(str, wheels), *_FOR_THE_BASELINE))
    for kind in WORKERS:
        os.environ[f"{kind.name.upper().replace('-', '_')}_PYTHON"] = str(directory / "plain" / "bin" / "python")


def program(name: str) -> str:
    """A command of the environment that the workers run in, or else of this one."""
    plain = Path(FILE_PROCESSING.interpreter(0)).parent / name
    return str(plain if plain.exists() else Path(sys.executable).parent / name)


def build_wheels(folder: Path) -> tuple[Path, ...]:
    """The wheels of core and of the four workers, core's first. Raises SubprocessError."""
    for name in ("core", *(kind.name for kind in WORKERS)):
        _uv("build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT / "packages" / f"unstract-worker-{name}"))
    return tuple(sorted(folder.glob("*.whl"), key=lambda path: "_core-" not in path.name))


def install(folder: Path, wanted: tuple[str, ...], *options: str, interpreter: Path = Path(sys.executable)) -> Path:
    """An environment of its own with these in it; its python. Raises SubprocessError."""
    _uv("venv", "--quiet", "--python", str(interpreter), str(folder))
    there = folder / "bin" / "python"
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    _uv("pip", "install", "--quiet", "--compile-bytecode", *options, "--python", str(there), *constraints, *wanted)
    return there


def packages_here(file: Path) -> None:
    """Write what this environment has, by version, as `install` takes it with --requirement. Raises SubprocessError."""
    with file.open("wb") as target:
        _uv("pip", "freeze", "--quiet", "--python", sys.executable, output=target)


def _uv(*arguments: str, output: IO[bytes] | None = None) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
    subprocess.run((uv, *arguments), check=True, timeout=MINUTES, stdout=output)
