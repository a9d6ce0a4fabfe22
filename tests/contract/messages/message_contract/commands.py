"""What can be done from the command line."""

import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.version import Version

from message_contract.catalogue import MODELS, distribution_of, found_models
from message_contract.changes import name_faults, schema_faults
from message_contract.names import names
from message_contract.reading import reading_faults
from message_contract.schemas import schema_of
from message_contract.specimens import specimens_of

__all__ = ["NAMES", "committed", "compared", "current", "main"]

FOLDER = Path(__file__).parents[1]
PACKAGES = FOLDER.parents[2] / "packages"
NAMES = "names"


def current() -> dict[str, Any]:
    """The schemas of the installed packages, by name, and the names that are shared; each with its major version."""
    schemas = {name: {"x-major": _major(distribution_of(name)), **schema_of(model)} for name, model in found_models()}
    return {**schemas, NAMES: {"x-major": _major("unstract-worker-core"), **names()}}


def compared(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """What may not be within a major version; `before` and `after` are as `current` gives them."""
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            yield f"{name}: removed, older workers write it"
        elif new["x-major"] > old["x-major"]:
            continue
        elif name == NAMES:
            yield from name_faults(_parts(old), _parts(new))
        else:
            yield from schema_faults(name, old, new)


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns the exit code."""
    if list(arguments) == ["write"]:
        return _write()
    if list(arguments) == ["specimens"]:
        schemas = {name: schema_of(model) for name, model in found_models()}
        reported = {"specimens": {name: specimens_of(name, schemas) for name in schemas}, "names": names()}
        sys.stdout.write(json.dumps(reported))
        return 0
    if list(arguments) in (["read-newer"], ["read-older"]):
        return _read(newer=list(arguments) == ["read-newer"])
    sys.stderr.write("commands: write, specimens, read-newer, read-older\n")
    return 2


def committed() -> dict[str, Any]:
    """The files as they are, by name."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.json"))}


def _write() -> int:
    now = current()
    faults = list(compared(committed(), now))
    if faults:
        sys.stderr.writelines(f"{each}\n" for each in faults)
        sys.stderr.write("nothing written: add fields with defaults instead, or release a new major version\n")
        return 1
    for name, schema in now.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0


def _read(*, newer: bool) -> int:
    reported = json.load(sys.stdin)
    installed = [each for each in {distribution_of(name) for name in MODELS} if _is_installed(each)]
    faults = list(reading_faults(reported["specimens"], installed, newer=newer))
    if not newer:
        faults.extend(name_faults(reported["names"], names()))
    sys.stdout.writelines(f"{each}\n" for each in faults)
    return 1 if faults else 0


def _parts(reported: dict[str, Any]) -> dict[str, list[str]]:
    return {part: each for part, each in reported.items() if part != "x-major"}


def _major(distribution: str) -> int:
    """The major version that is promised; while 2.0.0 is in development (`2.0.0.dev0`), still 1."""
    project = tomllib.loads((PACKAGES / distribution / "pyproject.toml").read_text("utf-8"))["project"]
    declared = Version(project["version"])
    return declared.major - (declared.is_devrelease and declared.release[1:] == (0, 0))


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
