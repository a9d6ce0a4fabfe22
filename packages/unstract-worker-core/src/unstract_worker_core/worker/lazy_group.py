"""A command group that imports a command's module only when it is asked for: `run` must start quickly."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """A group with commands by name of ``module:function``; the function makes the command."""

    def __init__(self, *, lazy: Mapping[str, str], make: Callable[[Any], click.Command], **options: Any) -> None:
        """`make` is given the function that was found, and calls it with what the commands need."""
        super().__init__(**options)
        self._lazy = lazy
        self._make = make

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Those that are there and those that can be imported."""
        return sorted({*super().list_commands(ctx), *self._lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, imported now."""
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, function = self._lazy[cmd_name].partition(":")
        return self._make(getattr(import_module(module), function))
