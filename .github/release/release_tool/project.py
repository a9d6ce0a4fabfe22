"""What a package's pyproject.toml says: its version, and the range of core that it runs with."""

import re
import tomllib
from typing import Any

from attrs import frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from release_tool.catalogue import CORE, Package
from release_tool.core_range import CoreRange
from release_tool.errors import ReleaseError

__all__ = ["Project", "parse_project", "with_version"]

VERSION = re.compile(r"^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(\.dev0)?$")
VERSION_LINE = re.compile(r'^version = "[^"\n]*"$', re.MULTILINE)


@frozen
class Project:
    """A package at one commit. `needs_core` is None for core itself."""

    version: Version
    needs_core: CoreRange | None

    @property
    def in_development(self) -> bool:
        """Whether the version names the release that is being developed (`2.0.0.dev0`): nothing is released as that."""
        return self.version.is_devrelease

    @property
    def core_text(self) -> str:
        """The range as the release index shows it."""
        return "-" if self.needs_core is None else self.needs_core.text


def parse_project(package: Package, text: str) -> Project:
    """Reads a package's pyproject.toml.

    Raises:
        ReleaseError: it is not TOML, or the version or the requirement on core is missing or not of our form.
    """
    where = str(package.pyproject)
    try:
        project: dict[str, Any] = tomllib.loads(text)["project"]
        version = Version(str(project["version"]))
    except (tomllib.TOMLDecodeError, InvalidVersion, KeyError) as error:
        raise ReleaseError(f"{where} has no readable [project] version ({error})") from None
    if not VERSION.match(str(project["version"])):
        raise ReleaseError(
            f"{where} has the version {project['version']!r}: it must be MAJOR.MINOR.PATCH, "
            "or MAJOR.MINOR.PATCH.dev0 while that release is being developed"
        )
    needs = None if package.is_core else _range_of_core(project.get("dependencies", []), where)
    return Project(version, needs)


def with_version(package: Package, text: str, version: Version) -> str:
    """The pyproject.toml with another version, and nothing else changed."""
    changed = VERSION_LINE.sub(f'version = "{version}"', text, count=1)
    if parse_project(package, changed).version != version:
        raise ReleaseError(f'{package.pyproject}: no line `version = "..."` to change in [project]')
    return changed


def _range_of_core(dependencies: list[str], where: str) -> CoreRange:
    try:
        requirements = [Requirement(each) for each in dependencies]
    except InvalidRequirement as error:
        raise ReleaseError(f"{where}: a dependency cannot be read ({error})") from None
    core = [each for each in requirements if each.name == CORE.distribution]
    if len(core) != 1:
        raise ReleaseError(f"{where} must name {CORE.distribution} once among its dependencies, not {len(core)} times")
    # The specifier's own text comes in no fixed order.
    parts = sorted((str(part) for part in core[0].specifier), reverse=True)
    return CoreRange.parse(",".join(parts), where=where)
