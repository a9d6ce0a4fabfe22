"""Crash points are named in core's list; the code of all packages reaches each of them, and no others."""

import ast
from collections.abc import Iterator
from pathlib import Path

from unstract_worker_core.failpoints import points

PACKAGES = Path(__file__).parents[2] / "packages"


def trees() -> Iterator[ast.Module]:
    for path in PACKAGES.glob("*/src/**/*.py"):
        if path.stem != "failpoints":
            yield ast.parse(path.read_text())


def reached_by_name() -> set[str]:
    return {
        node.args[0].value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "hit"
        and len(node.args) == 1
        and isinstance(node.args[0], ast.Constant)
    }


def test_the_points_that_the_code_names_are_those_that_are_listed():
    derived = ("ledger.", "backend.", "doorbell.")
    assert reached_by_name() == {name for point in points() if not (name := point.name).startswith(derived)}
