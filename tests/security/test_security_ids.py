"""Every id that no experiment proves is proven by tests that are there."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TABLE = tomllib.loads((ROOT / "tests/faults/ids.toml").read_text(encoding="utf-8"))
IDS = (
    "R4",
    *(f"M{number}" for number in range(1, 8)),
    *(f"W{number}" for number in range(1, 9)),
    *(f"S{number}" for number in range(1, 9)),
    *(f"B{number}" for number in (5, 6, 7, 8, 10, 11, 12)),
)


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_the_table_holds_these_ids_and_no_other():
    assert sorted(TABLE) == sorted(IDS)


@pytest.mark.parametrize("identifier", IDS)
def test_the_tests_of_an_id_are_there(identifier):
    named = TABLE[identifier]["tests"]
    assert named
    for node in named:
        file, _, name = node.partition("::")
        assert name in names_in(ROOT / file), node


def test_what_is_named_after_an_id_is_in_the_table():
    known = {node for entry in TABLE.values() for node in entry["tests"]}
    for path in Path(__file__).parent.glob("test_security_*.py"):
        for name in names_in(path):
            identifier = name.split("_")[1].upper()
            node = f"{path.relative_to(ROOT).as_posix()}::{name}"
            assert identifier not in IDS or node in TABLE[identifier]["tests"], node
    assert len(known) > len(IDS)
