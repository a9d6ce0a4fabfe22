"""The bench moves to the interpreter that it is to measure on, with the packages that it has."""

import sys
from pathlib import Path

import pytest

from unstract_bench.interpreter import SYSTEM, Unfit, elsewhere, name_of

WRONG_ARGUMENTS = 2


def test_an_interpreter_is_known_by_its_version_and_where_it_is_installed() -> None:
    assert name_of(Path(sys.executable)) == f"{sys.version} {sys.base_prefix}"


@pytest.mark.parametrize("told", ["", "exit 1", "echo"])
def test_what_cannot_run_the_workers_is_no_interpreter(tmp_path: Path, told: str) -> None:
    other = tmp_path / "python"
    other.write_text(f"#!/bin/sh\n{told}\n")
    other.chmod(0o755)

    assert name_of(other) is None
    with pytest.raises(Unfit, match=f"{other} is no Python 3.11 or newer"):
        elsewhere(other, ())


def test_nothing_is_moved_to_where_it_is() -> None:
    assert elsewhere(Path(sys.executable), ("--only", "P9")) is None


def test_it_runs_there_with_the_same_arguments() -> None:
    if name_of(SYSTEM) in (None, name_of(Path(sys.executable))):
        pytest.skip("the system has no other interpreter that can run the workers")

    assert elsewhere(None, ("--only", "P9")) == WRONG_ARGUMENTS
