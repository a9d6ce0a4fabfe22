"""The packages that are released from here, by their short names."""

from pathlib import PurePosixPath

from attrs import frozen
from packaging.version import Version

from release_tool.errors import ReleaseError

__all__ = ["CORE", "PACKAGES", "WORKERS", "Package", "package_named"]


@frozen
class Package:
    """One distribution. `name` is what people and tags call it, such as `file-processing`."""

    name: str

    @property
    def distribution(self) -> str:
        """Its name on the package index."""
        return f"unstract-worker-{self.name}"

    @property
    def module(self) -> str:
        """What is imported."""
        return self.distribution.replace("-", "_")

    @property
    def folder(self) -> PurePosixPath:
        """Where it lives, from the root of the repository."""
        return PurePosixPath("packages") / self.distribution

    @property
    def pyproject(self) -> PurePosixPath:
        """Its metadata, the version included."""
        return self.folder / "pyproject.toml"

    @property
    def changelog(self) -> PurePosixPath:
        """What changed in each of its releases."""
        return self.folder / "CHANGELOG.md"

    @property
    def fragments(self) -> PurePosixPath:
        """What changed since, one file a change."""
        return self.folder / "changes"

    @property
    def is_core(self) -> bool:
        """Whether this is what the workers share."""
        return self.name == "core"

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
    known = ", ".join(package.name for package in PACKAGES)
    raise ReleaseError(f"no package is called {name!r}: it is one of {known}")
