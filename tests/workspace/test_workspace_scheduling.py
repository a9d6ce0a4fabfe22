"""The files that conftest.py names for the sharing of tests between processes are there."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREE = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["SHARING", "LONGEST"])
def test_every_file_that_is_named_is_there(name):
    values = {
        ast.unparse(node.targets[0]): node.value
        for node in TREE.body
        if isinstance(node, ast.Assign) and len(node.targets) == 1
    }
    files = eval(compile(ast.Expression(values[name]), "conftest.py", "eval"))  # noqa: S307 - our own file
    assert [each for each in files if not (ROOT / each).is_file()] == []
