"""Versions: how far a release moves them, and which ones of core a worker runs with."""

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Self

from attrs import frozen
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from release_tool.repository import ReleaseError

FORM = re.compile(r"^>=(?P<lower>\d+(?:\.\d+)*(?:\.dev\d+)?),<(?P<upper>\d+(?:\.\d+)*)$")


class Bump(IntEnum):
    """How much a release changes for its users, by semantic versioning; NONE is a package's first release."""

    NONE = -1
    PATCH = 0
    MINOR = 1
    MAJOR = 2


LEAST = {"removal": Bump.MAJOR, "feature": Bump.MINOR}


def next_version(version: Version, bump: Bump) -> Version:
    """The version after this one; for a first release, this one."""
    patch, minor, major = f"{version.micro + 1}", f"{version.minor + 1}.0", f"{version.major + 1}.0.0"
    following = (f"{version.major}.{version.minor}.{patch}", f"{version.major}.{minor}", major)
    return version if bump is Bump.NONE else Version(following[bump])


def least_bump(version: Version, kinds: Iterable[str]) -> Bump:
    """The smallest bump that fits fragments of these kinds; before 1.0.0 a minor one announces a removal."""
    least = max((LEAST.get(kind, Bump.PATCH) for kind in kinds), default=Bump.PATCH)
    return Bump.MINOR if version.major == 0 and least is Bump.MAJOR else least


@frozen
class CoreRange:
    """From `lower`, included, to `upper`, excluded. `text` is how the worker declares it, such as `>=1.2,<2`."""

    text: str
    lower: Version
    upper: Version

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Reads `>=1.2,<2`, or `>=2.0.0.dev0,<3` while core 2.0.0 is in development.

        Raises:
            ReleaseError: it has another form; `where` is named as its place.
        """
        found = FORM.match(text.replace(" ", ""))
        if found is None:
            raise ReleaseError(f"{where} needs core {text!r}: write it as `>=1.2,<2`, with both bounds")
        return cls(found[0], Version(found["lower"]), Version(found["upper"]))

    def __contains__(self, version: Version) -> bool:
        # As pip reads it: 2.0.0.dev0 is below 2, but `<2` does not allow it.
        return SpecifierSet(self.text).contains(version, prereleases=True)

    @property
    def next_major(self) -> Version:
        """What the upper bound has to be: messages and ledger records may change with it."""
        return Version(str(self.lower.major + 1))
