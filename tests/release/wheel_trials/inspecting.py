"""Whether what was built is fit to be published."""

import sys
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

from packaging.version import Version
from release_tool.building import Built
from release_tool.packages import CORE, Package
from release_tool.repository import run

__all__ = ["inspect", "wheel_faults"]

REQUIRED = ("Summary", "License-Expression", "License-File", "Requires-Python", "Keywords", "Author")
CLASSIFIERS = ("3.11", "3.12", "3.13", "3.14")
URLS = ("Changelog", "Documentation", "Issues", "Source")
README_LINES = 10


def inspect(package: Package, version: Version, built: Built) -> tuple[str, ...]:
    """What is wrong with the files; twine and check-wheel-contents fail by themselves, as a ReleaseError."""
    folder = built.wheel.parent
    run([sys.executable, "-m", "twine", "check", "--strict", str(built.sdist), str(built.wheel)], cwd=folder)
    toplevel = ["--toplevel", package.module]
    run([sys.executable, "-m", "check_wheel_contents", *toplevel, str(built.wheel)], cwd=folder)
    return tuple(wheel_faults(package, version, built.wheel))


def wheel_faults(package: Package, version: Version, wheel: Path) -> Iterator[str]:
    """What a wheel lacks of name, version, licence, classifiers, links, readme, type marker and command."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        information = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(information).decode())
        commands = information.replace("METADATA", "entry_points.txt")
        entry_points = archive.read(commands).decode() if commands in names else ""
    for fault in _metadata_faults(package, version, metadata):
        yield f"{wheel.name}: {fault}"
    if f"{package.module}/py.typed" not in names:
        yield f"{wheel.name}: {package.module}/py.typed is missing, so its types are lost to users"
    if package != CORE and f"{package.distribution} = " not in entry_points:
        yield f"{wheel.name}: the command {package.distribution} is missing"


def _metadata_faults(package: Package, version: Version, metadata: Message) -> Iterator[str]:
    if (metadata["Name"], metadata["Version"]) != (package.distribution, str(version)):
        yield f"is {metadata['Name']} {metadata['Version']}, not {package.distribution} {version}"
    for name in REQUIRED:
        if not metadata[name]:
            yield f"{name} is missing"
    classifiers = metadata.get_all("Classifier", [])
    for python in CLASSIFIERS:
        if f"Programming Language :: Python :: {python}" not in classifiers:
            yield f"the classifier of Python {python} is missing"
    links = {link.split(",", 1)[0] for link in metadata.get_all("Project-URL", [])}
    for name in URLS:
        if name not in links:
            yield f"[project.urls] lacks {name}"
    readme = str(metadata.get_payload()).strip().splitlines()
    if metadata["Description-Content-Type"] != "text/markdown" or len(readme) < README_LINES:
        yield f"the readme has {len(readme)} lines: it is the page on the package index, say what the package is for"
