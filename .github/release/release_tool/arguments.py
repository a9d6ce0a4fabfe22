"""How packages and versions are read from a command line."""

from typing import Any

import click
from packaging.version import InvalidVersion, Version

from release_tool.catalogue import Package, package_named
from release_tool.errors import ReleaseError

__all__ = ["PACKAGE", "VERSION"]


class _PackageName(click.ParamType[Package]):
    name = "package"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Package:
        try:
            return value if isinstance(value, Package) else package_named(str(value))
        except ReleaseError as error:
            self.fail(str(error), param, ctx)


class _Version(click.ParamType[Version]):
    name = "version"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Version:
        try:
            return value if isinstance(value, Version) else Version(str(value))
        except InvalidVersion as error:
            self.fail(str(error), param, ctx)


PACKAGE = _PackageName()
VERSION = _Version()
