"""Starts a worker's commands with as little as possible loaded, and that quickly."""

import gc
import sys
from importlib import import_module

from unstract_worker_core.worker.deferring import defer

__all__ = ["run_commands"]


def run_commands(definition_module: str) -> None:
    """Run the commands of the worker whose definition is `DEFINITION` in this module."""
    gc.disable()  # start-up makes no garbage worth walking; a worker turns it on again once it is up
    defer()
    definition = import_module(definition_module).DEFINITION
    if sys.argv[1:] == ["run"]:  # as in an image: nothing to parse, so that the parser need not be set up
        from unstract_worker_core.worker.entry import run_worker

        run_worker(definition)
    from unstract_worker_core.worker.cli import command_line

    command_line(definition)()
