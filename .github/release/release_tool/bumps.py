"""The next version of a package."""

from enum import IntEnum

from packaging.version import Version

from release_tool.changelog import Fragment

__all__ = ["Bump", "least_bump", "next_version"]


class Bump(IntEnum):
    """How much a release changes for its users, by semantic versioning; NONE is a package's first release."""

    NONE = -1
    PATCH = 0
    MINOR = 1
    MAJOR = 2


LEAST = {"removal": Bump.MAJOR, "feature": Bump.MINOR}


def next_version(version: Version, bump: Bump) -> Version:
    """The version after this one; for a first release, this one. `2.0.0.dev0` has named its next version already."""
    if version.is_devrelease:
        return Version(version.base_version)
    if bump is Bump.NONE:
        return version
    if bump is Bump.MAJOR:
        return Version(f"{version.major + 1}.0.0")
    if bump is Bump.MINOR:
        return Version(f"{version.major}.{version.minor + 1}.0")
    return Version(f"{version.major}.{version.minor}.{version.micro + 1}")


def least_bump(version: Version, fragments: tuple[Fragment, ...]) -> Bump:
    """The smallest bump that is honest about these changes; before 1.0.0 a minor one announces a removal."""
    least = max((LEAST.get(fragment.kind, Bump.PATCH) for fragment in fragments), default=Bump.PATCH)
    return Bump.MINOR if version.major == 0 and least is Bump.MAJOR else least
