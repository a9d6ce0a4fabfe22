"""The interpreter that everything is measured on."""

import sys
from pathlib import Path

import pytest

from unstract_bench.environment import SYSTEM, UnusableInterpreter, interpreter, version_of


def test_the_one_that_is_wanted_is_used_and_else_the_systems():
    here = Path(sys.executable)
    assert interpreter(here) == here
    assert interpreter(None) == (SYSTEM if version_of(SYSTEM) else here)
    assert version_of(here) == sys.version.split()[0]


@pytest.mark.parametrize("script", ["", "exit 1", "echo"])
def test_what_cannot_run_the_workers_is_refused(tmp_path: Path, script: str) -> None:
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)

    with pytest.raises(UnusableInterpreter, match=rf"{other} is no Python 3.11 or newer"):
        interpreter(other)
