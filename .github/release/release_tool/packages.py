"""The packages that are released from here, by their short names, and what their pyproject.toml says."""

import re
import tomllib
from pathlib import PurePosixPath
from typing import Any

from attrs import frozen
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from release_tool.repository import ReleaseError, Repository
from release_tool.versions import CoreRange

VERSION = re.compile(r"^(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(\.dev0)?$")


@frozen
class Package:
    """One distribution. `name` is its short name in commands and tags, such as `file-processing`."""

    name: str

    @property
    def distribution(self) -> str:
        """Its name on the package index."""
        return f"unstract-worker-{self.name}"

    @property
    def module(self) -> str:
        """The name that is imported."""
        return self.distribution.replace("-", "_")

    @property
    def folder(self) -> PurePosixPath:
        """Its folder, from the root of the repository."""
        return PurePosixPath("packages") / self.distribution

    @property
    def pyproject(self) -> PurePosixPath:
        """Its metadata, the version included."""
        return self.folder / "pyproject.toml"

    @property
    def changelog(self) -> PurePosixPath:
        """The changes of each of its releases."""
        return self.folder / "CHANGELOG.md"

    @property
    def fragments(self) -> PurePosixPath:
        """The unreleased changes, one file each."""
        return self.folder / "changes"

    @property
    def contents(self) -> tuple[str, ...]:
        """The paths whose content makes the wheel."""
        return tuple(str(self.folder / part) for part in ("src", "README.md", "LICENSE", "pyproject.toml"))

    def tag(self, version: Version) -> str:
        """The tag of a release."""
        return f"{self.name}-v{version}"


CORE = Package("core")
WORKERS = tuple(Package(name) for name in ("api-deployment", "general", "file-processing", "callback"))
PACKAGES = (CORE, *WORKERS)


def package_named(name: str) -> Package:
    """The package of a short name, a distribution's name or an import name.

    Raises:
        ReleaseError: there is none.
    """
    for package in PACKAGES:
        if name in (package.name, package.distribution, package.module):
            return package
    raise ReleaseError(f"no package is called {name!r}: it is one of {', '.join(each.name for each in PACKAGES)}")


@frozen
class Project:
    """A package at one commit. `needs_core` is None for core itself."""

    version: Version
    needs_core: CoreRange | None

    @property
    def in_development(self) -> bool:
        """Whether the version is one like `2.0.0.dev0`: the release that it names is not made yet."""
        return self.version.is_devrelease

    @property
    def core_text(self) -> str:
        """The range as the release index shows it."""
        return "-" if self.needs_core is None else self.needs_core.text


def current(repository: Repository, package: Package) -> Project:
    """The package in the work tree."""
    return parse_project(package, repository.read(package.pyproject))


def parse_project(package: Package, text: str) -> Project:
    """Reads a package's pyproject.toml.

    Raises:
        ReleaseError: it is not TOML, or the version or the requirement on core is missing or not of our form.
    """
    where = str(package.pyproject)
    try:
        project: dict[str, Any] = tomllib.loads(text)["project"]
        version = str(project["version"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ReleaseError(f"{where} has no readable [project] version ({error})") from None
    if not VERSION.match(version):
        raise ReleaseError(
            f"{where} has the version {version!r}: it must be MAJOR.MINOR.PATCH, "
            "or MAJOR.MINOR.PATCH.dev0 while that release is in development"
        )
    needs = None if package == CORE else _range_of_core(project.get("dependencies", []), where)
    return Project(Version(version), needs)


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
