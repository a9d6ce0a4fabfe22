"""Starts a worker's commands with as little as possible loaded, and that quickly."""

import gc
from importlib import import_module

__all__ = ["run_commands"]


def run_commands(definition_module: str) -> None:
    """Run the commands of the worker whose definition is `DEFINITION` in this module."""
    gc.disable()  # start-up makes no garbage worth walking; a worker turns it on again once it is up
    from unstract_worker_core.app.cli import command_line

    command_line(import_module(definition_module).DEFINITION)()
