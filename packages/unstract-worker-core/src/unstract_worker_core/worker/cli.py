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
from unstract_worker_core.worker.entry import run_worker, settings_or_exit

_HERE = "unstract_worker_core.operator"
# Imported when they are asked for.
_OPERATORS = {
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
        _read_dotenv(os.environ, development=development)
        run_worker(definition, development=development)

    @group.command(help="Look whether this worker could run: configuration, broker, queues, Redis, backend, clock.")
    @click.option("--organization", "organizations", multiple=True, help="Look at it in the backend; may be repeated.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @click.option("--development", is_flag=True, help="Read .env and allow the development key.")
    @click.pass_context
    def check(context: click.Context, *, organizations: tuple[str, ...], as_json: bool, development: bool) -> None:
        from unstract_worker_core.operator.check.lines import rendered
        from unstract_worker_core.operator.check_command import lines_of

        _read_dotenv(os.environ, development=development)
        settings = settings_or_exit(definition, os.environ, development=development)
        lines = list(lines_of(definition, settings, organizations))
        click.echo(rendered(lines, as_json=as_json))
        context.exit(1 if any(line.status == "fail" for line in lines) else 0)

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


def _read_dotenv(environ: MutableMapping[str, str], *, development: bool) -> None:
    if not development:
        return
    try:
        for name, value in read_dotenv(Path(".env")).items():
            environ.setdefault(name, value)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
