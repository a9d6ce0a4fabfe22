"""`hatch run lint:shape` counts what is there, and fails on what is too large."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "shape.py"
FIVE = ("api-deployment", "callback", "core", "file-processing", "general")


@pytest.fixture(scope="module")
def shape():
    specification = importlib.util.spec_from_file_location("shape", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def write(root: Path, package: str, path: str, lines: int, first: str = "") -> None:
    file = root / "packages" / package / "src" / f"unstract_worker_{package.replace('-', '_')}" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([first, *["#"] * (lines - 1)]) + "\n")


@pytest.fixture
def tree(tmp_path):
    write(tmp_path, "core", "__init__.py", 3, '__all__ = ["Settings", "run"]')
    write(tmp_path, "core", "ledger/runs.py", 100, "def arm():\n    def inner():\n        pass\n    return inner")
    write(tmp_path, "core", "ledger/scripts/arm.lua", 20)
    write(tmp_path, "file-processing", "__init__.py", 1)
    return tmp_path


def test_everything_is_counted(shape, tree, capsys):
    assert shape.main(tree) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "core: 2 modules; public: Settings, run" in lines
    assert f"core 126 of at most {shape.LIMITS['core']}, aim 10500" in lines
    assert f"core/ledger 123 of at most {shape.LIMITS['core/ledger']}, aim 1350" in lines
    assert f"core (root) 3 of at most {shape.LIMITS['core (root)']}, aim 1100" in lines
    assert "file: median 20, longest 103 (ledger/runs.py)" in lines
    assert "function: median 3, longest 4 (ledger/runs.py:arm)" in lines
    assert lines[-1] == "modules of the packages: 3 of at most 150"


@pytest.mark.parametrize(
    ("name", "package", "path", "there"),
    [
        ("core", "core", "operator/check.py", 126),
        ("core without operator", "core", "worker/tasks.py", 126),
        ("core/ledger", "core", "ledger/store.py", 123),
        ("file-processing without platform", "file-processing", "tasks.py", 1),
    ],
)
def test_what_is_too_large_fails(shape, tree, capsys, name, package, path, there):
    write(tree, package, path, shape.LIMITS[name] - there + 1)
    assert shape.main(tree) == 1
    limit = shape.LIMITS[name]
    assert f"above its limit: {name}: {limit + 1} lines, at most {limit}\n" in capsys.readouterr().err


def test_the_platform_executor_has_no_part_in_the_size_of_its_worker(shape, tree):
    write(tree, "file-processing", "platform/executor.py", 5_000)
    assert shape.main(tree) == 0


def test_what_is_around_the_packages_is_counted_too(shape, tree, capsys):
    limit = shape.LIMITS["docker/deploy"]
    (tree / "docker" / "deploy" / "inside").mkdir(parents=True)
    (tree / "docker" / "deploy" / "inside" / "a.py").write_text("#\n" * (limit + 1))
    (tree / "docker" / "deploy" / "deploy.sh").write_text("#\n" * 1000)
    (tree / "pyproject.toml").write_text("#\n" * 385)
    assert shape.main(tree) == 1
    printed = capsys.readouterr()
    assert f"pyproject.toml 385 of at most {shape.LIMITS['pyproject.toml']}, aim 350" in " ".join(printed.out.split())
    assert printed.err == f"above its limit: docker/deploy: {limit + 1} lines, at most {limit}\n"


def test_too_many_modules_fail(shape, tree, capsys):
    for name in ("__init__", *(f"m{number}" for number in range(147))):
        write(tree, "general", f"{name}.py", 1)
    assert shape.main(tree) == 1
    assert "above its limit: 151 modules, at most 150" in capsys.readouterr().err


def test_the_command_measures_these_packages():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if "modules; public" in line] == list(FIVE)
    assert "Traceback" not in done.stderr
