"""Runs programs; a failure carries what the program said."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["ImagesError", "run", "say", "tool"]

TAIL_LINES = 25


class ImagesError(Exception):
    """Something about the images is not as it should be; the message says what, and what to do."""


def run(
    command: Sequence[str], *, seconds: float, environment: Mapping[str, str] | None = None, stdin: str | None = None
) -> str:
    """Standard output of a command that has `seconds` to end well; `environment` is added to this process's.

    Raises:
        ImagesError: it is not there, took too long, or failed; with the tail of what it said.
    """
    shown = " ".join(command[:4])
    try:
        done = subprocess.run(
            list(command),
            env={**os.environ, **(environment or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ImagesError(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired as error:
        raise ImagesError(f"`{shown} ...` did not end within {seconds:.0f} s\n{_tail(error.stdout)}") from None
    if done.returncode:
        raise ImagesError(f"`{shown} ...` failed ({done.returncode})\n{_tail(done.stdout + done.stderr)}")
    return done.stdout


def say(text: str) -> None:
    """A line of progress."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def tool(name: str) -> str:
    """A program of this Python environment if it has it, else the one on PATH."""
    own = Path(sys.executable).parent / name
    return str(own) if own.exists() else name


def _tail(text: str | bytes | None) -> str:
    output = text.decode(errors="replace") if isinstance(text, bytes) else text or ""
    return "\n".join(output.splitlines()[-TAIL_LINES:])
