"""`hatch run lint:shape`: how large the five packages are, and whether they grow.

Prints modules, lines a folder with limit and aim, the longest and the median file and function, and the public names;
then what is around the packages. Lines are those of `*.py` and `*.lua` below `src`, blank ones and comments included.
Ends with code 1 if anything is above its limit.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

__all__ = ["LIMITS", "Package", "faults", "main", "read"]

PREFIX = "unstract_worker_"
# The first aims; CONTRIBUTING, "Sizes", says what the rest is. Printed beside each size, as a limit is no aim.
AIMS = {
    "core": 10_500,
    "core without operator": 9_100,
    "core (root)": 1_100,
    "core/config": 850,
    "core/backend": 1_500,
    "core/ledger": 1_350,
    "core/runs": 700,
    "core/messages": 450,
    "core/worker": 1_600,
    "core/observability": 900,
    "core/operator": 1_500,
    "core/migration": 250,
    "core/testing": 200,
    "api-deployment": 200,
    "general": 1_000,
    "file-processing without platform": 1_000,
    "callback": 700,
    ".github/release": 1_200,
    "docker/deploy": 450,
    "docker/images": 700,
    "pyproject.toml": 350,
    "tests/bench": 2_200,
    "tests/devstack/src": 11_000,
}
# At most so many lines, from here on: they may fall, and rise only with a reason in the commit.
LIMITS = {
    "core": 18_000,
    "core without operator": 15_300,
    "core (root)": 1_800,
    "core/config": 1_900,
    "core/backend": 2_750,
    "core/ledger": 2_250,
    "core/runs": 1_600,
    "core/messages": 495,
    "core/worker": 2_950,
    "core/observability": 1_450,
    "core/operator": 2_750,
    "core/migration": 275,
    "core/testing": 220,
    "api-deployment": 220,
    "general": 1_600,
    "file-processing without platform": 1_900,
    "callback": 1_050,
    ".github/release": 1_320,
    "docker/deploy": 750,
    "docker/images": 770,
    "pyproject.toml": 385,
    "tests/bench": 3_250,
    "tests/devstack/src": 13_700,
}
MODULES = 150
AROUND = (".github/release", "docker/deploy", "docker/images", "pyproject.toml", "tests/bench", "tests/devstack/src")


class Package(NamedTuple):
    """One package. Files are by their path below the package's module; functions by `file:name`."""

    name: str
    files: dict[str, int]
    functions: dict[str, int]
    public: tuple[str, ...]


def main(root: Path) -> int:
    """Prints all of it and returns the exit code."""
    packages = [read(folder) for folder in sorted(root.glob(f"packages/*/src/{PREFIX}*"))]
    for package in packages:
        _show(package)
    around = {path: _lines(root / path) for path in AROUND}
    for path, lines in around.items():
        print(f"{path:36} {lines:6}{_limit(path)}")
    found = list(faults(packages, around))
    print(f"modules of the packages: {_modules(packages)} of at most {MODULES}")
    for fault in found:
        print(f"above its limit: {fault}", file=sys.stderr)
    return 1 if found or not packages else 0


def read(folder: Path) -> Package:
    """Measures one package."""
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in sorted({*folder.rglob("*.py"), *folder.rglob("*.lua")}):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(folder).as_posix()
        files[name] = len(text.splitlines())
        if path.suffix == ".py":
            functions.update((f"{name}:{function}", lines) for function, lines in _functions(ast.parse(text)))
    public = tuple(_public(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))))
    return Package(folder.name.removeprefix(PREFIX).replace("_", "-"), files, functions, public)


def faults(packages: list[Package], around: dict[str, int]) -> Iterator[str]:
    """Everything that is above its limit."""
    for sizes in (*map(_sizes, packages), around):
        for name, lines in sizes.items():
            if lines > LIMITS.get(name, lines):
                yield f"{name}: {lines} lines, at most {LIMITS[name]}"
    if _modules(packages) > MODULES:
        yield f"{_modules(packages)} modules, at most {MODULES}"


def _limit(name: str) -> str:
    return f" of at most {LIMITS[name]}, aim {AIMS[name]}" if name in LIMITS else ""


def _lines(place: Path) -> int:
    files = place.rglob("*.py") if place.is_dir() else filter(Path.exists, [place])
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def _sizes(package: Package) -> dict[str, int]:
    """Lines of the package, of its folders, and of what a limit leaves out of it."""
    total, folders = sum(package.files.values()), Counter[str]()
    for path, lines in package.files.items():
        inside, slash, _ = path.partition("/")
        folders[f"{package.name}/{inside}" if slash else f"{package.name} (root)"] += lines
    apart = {
        f"{package.name} without {part}": total - folders[f"{package.name}/{part}"]
        for part in ("operator", "platform")
        if f"{package.name} without {part}" in LIMITS
    }
    return {package.name: total, **apart, **dict(sorted(folders.items()))}


def _modules(packages: list[Package]) -> int:
    return sum(path.endswith(".py") for package in packages for path in package.files)


def _show(package: Package) -> None:
    print(f"{package.name}: {_modules([package])} modules; public: {', '.join(package.public) or 'nothing'}")
    for name, lines in _sizes(package).items():
        print(f"  {name:34} {lines:6}{_limit(name)}")
    for kind, lengths in (("file", package.files), ("function", package.functions)):
        if lengths:
            longest = max(lengths, key=lambda each: lengths[each])
            print(f"  {kind}: median {median(lengths.values()):.0f}, longest {lengths[longest]} ({longest})")


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _public(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["__all__"]:
            yield from ast.literal_eval(node.value)


if __name__ == "__main__":
    sys.exit(main(Path(__file__).parents[1]))
