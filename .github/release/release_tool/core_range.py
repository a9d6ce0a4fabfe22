"""Which versions of core a worker runs with: `>=1.2,<2`; `>=2.0.0.dev0,<3` while core 2.0.0 is being developed."""

import re
from typing import Self

from attrs import frozen
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from release_tool.errors import ReleaseError

__all__ = ["CoreRange"]

FORM = re.compile(r"^>=(?P<lower>\d+(?:\.\d+)*(?:\.dev\d+)?),<(?P<upper>\d+(?:\.\d+)*)$")


@frozen
class CoreRange:
    """From `lower`, included, to `upper`, excluded. `text` is how the worker declares it."""

    text: str
    lower: Version
    upper: Version

    @classmethod
    def parse(cls, text: str, *, where: str) -> Self:
        """Reads a range.

        Args:
            text: such as `>=1.2,<2`.
            where: what the error names as its place.

        Raises:
            ReleaseError: it has another form.
        """
        found = FORM.match(text.replace(" ", ""))
        if found is None:
            raise ReleaseError(f"{where} needs core {text!r}: write it as `>=1.2,<2`, with both bounds")
        return cls(found[0], Version(found["lower"]), Version(found["upper"]))

    def __contains__(self, version: Version) -> bool:
        # As pip reads it: 2.0.0.dev0 is below 2, but no `<2` allows it.
        return SpecifierSet(self.text).contains(version, prereleases=True)

    @property
    def next_major(self) -> Version:
        """What the upper bound has to be: messages and ledger records may change with it."""
        return Version(str(self.lower.major + 1))
