"""The commands of a worker: run, check, those of operators, and what the worker adds."""

import os
from collections.abc import Mapping, MutableMapping
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from unstract_worker_core.config import read_dotenv
from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_core.worker.entry import run_worker

_HERE = "unstract_worker_core.operator"
# Imported when they are asked for.
_OPERATORS = {
    "check": f"{_HERE}.check.command:check",
    "conformance": f"{_HERE}.conformance_command:conformance",
    "dead-letters": f"{_HERE}.dead_letters_command:dead_letters",
    "fleet": f"{_HERE}.fleet_command:fleet",
    "scaling": f"{_HERE}.scaling_command:scaling",
}


def command_line(definition: WorkerDefinition) -> click.Group:
    """The command group of one worker."""
    name = definition.worker.distribution

    group = _Commands(name=name, help=f"The Unstract {definition.worker.value.replace('_', '-')} worker.")
    group.of_operators = (definition, _OPERATORS | dict(definition.commands))
    click.version_option(version(name), prog_name=name)(group)

    @group.command(help="Run the worker until a signal ends it (SIGTERM drains; a second one hands back at once).")
    @click.option("--development", is_flag=True, help="Read .env and allow the development key.")
    def run(*, development: bool) -> None:
        load_dotenv(os.environ, development=development)
        run_worker(definition, development=development)

    return group


class _Commands(click.Group):
    """Imports an operator's command only when it is asked for: `run` does not need them."""

    of_operators: tuple[WorkerDefinition, Mapping[str, str]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.of_operators[1]})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        definition, commands = self.of_operators
        if cmd_name not in commands:
            return super().get_command(ctx, cmd_name)
        module, _, function = commands[cmd_name].partition(":")
        made: click.Command = getattr(import_module(module), function)(definition)
        return made


def load_dotenv(environ: MutableMapping[str, str], *, development: bool) -> None:
    """In development, set what `.env` names and the environment does not."""
    if not development:
        return
    try:
        for name, value in read_dotenv(Path(".env")).items():
            environ.setdefault(name, value)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
