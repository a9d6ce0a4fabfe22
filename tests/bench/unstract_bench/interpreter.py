"""The interpreter that all of a run is made on: the system's own where it will do, as in an image.

Distributions and the official images build theirs with profile-guided optimisation. One that a version manager built
without it makes every runner here slower by a fifth to a third, which says nothing about any of them.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from unstract_bench.plain import install, packages_here

__all__ = ["SYSTEM_PREFIX", "Unfit", "elsewhere", "name_of"]

SYSTEM, SYSTEM_PREFIX = Path("/usr/bin/python3"), "/usr"
OLDEST = (3, 11)
MINUTE = 60.0
_ASKED = f"import ctypes, ssl, sys; sys.version_info >= {OLDEST} and print(sys.version, sys.base_prefix)"


class Unfit(Exception):
    """An interpreter that was asked for cannot run the workers."""


def name_of(python: Path) -> str | None:
    """What tells one interpreter from others; None where there is none that can run the workers."""
    try:
        told = subprocess.run((python, "-I", "-c", _ASKED), capture_output=True, text=True, check=True, timeout=MINUTE)
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None


def elsewhere(python: Path | None, arguments: tuple[str, ...]) -> int | None:
    """Run the bench with these arguments on `python` (None: the system's); its exit code.

    None: nothing was run, this process is on that interpreter already, or the system has none that will do.

    Raises Unfit for an interpreter that was asked for and will not do, and SubprocessError.
    """
    name = name_of(python or SYSTEM)
    if name is None and python is not None:
        raise Unfit(f"{python} is no Python {OLDEST[0]}.{OLDEST[1]} or newer with ctypes and ssl")
    if name is None or name == name_of(Path(sys.executable)):
        return None
    with TemporaryDirectory(prefix="bench-python-") as directory:
        packages = Path(directory) / "packages.txt"
        packages_here(packages)
        options = ("--requirement", str(packages))
        there = install(Path(directory) / "environment", (), *options, interpreter=python or SYSTEM)
        return subprocess.call((there, "-m", "unstract_bench", *arguments))
