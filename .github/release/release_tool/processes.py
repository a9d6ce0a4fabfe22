"""Runs programs, and says what they said when they fail."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release_tool.errors import ReleaseError

__all__ = ["run"]

TAIL_LINES = 40


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str | None] | None = None,
    umask: int = -1,
) -> str:
    """Runs a command and returns its standard output.

    Args:
        command: program and arguments.
        cwd: its working folder.
        environment: variables to set, or to drop where the value is None; all others are inherited.
        umask: permissions that its files lack; -1 leaves it as it is.

    Raises:
        ReleaseError: the program ended with another code than 0; with the end of what it said.
    """
    merged = {**os.environ, **(environment or {})}
    variables = {name: value for name, value in merged.items() if value is not None}
    try:
        done = subprocess.run(  # noqa: S603 - our own commands, never through a shell
            list(command), cwd=cwd, env=variables, umask=umask, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ReleaseError(f"{command[0]} is not there: {error}") from None
    if done.returncode != 0:
        said = "\n".join(f"{done.stdout}\n{done.stderr}".strip().splitlines()[-TAIL_LINES:])
        raise ReleaseError(f"`{' '.join(command)}` ended with code {done.returncode}:\n{said}")
    return done.stdout
