"""`check`: can this worker reach what its settings name, and is it fit for use?"""

import os
from collections.abc import Iterator, Sequence
from importlib import import_module

import click

from unstract_worker_core.config import Settings
from unstract_worker_core.operator.check.backends import backend_lines
from unstract_worker_core.operator.check.brokers import broker_lines
from unstract_worker_core.operator.check.clocks import clock_lines
from unstract_worker_core.operator.check.lines import Line, as_json
from unstract_worker_core.operator.check.redis_roles import redis_lines
from unstract_worker_core.operator.check.result_backend import result_backend_line
from unstract_worker_core.worker.cli import drop_celery_variables, load_dotenv
from unstract_worker_core.worker.definition import WorkerDefinition, settings_or_exit


def check(definition: WorkerDefinition) -> click.Command:
    """The command."""

    @click.command(help="Look whether this worker could run: configuration, broker, queues, Redis, backend, clock.")
    @click.option("--organization", "organizations", multiple=True, help="Look at it in the backend; may be repeated.")
    @click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
    @click.option("--development", is_flag=True, help="Read .env and allow the development key.")
    @click.pass_context
    def command(
        context: click.Context, *, organizations: tuple[str, ...], json_wanted: bool, development: bool
    ) -> None:
        load_dotenv(development=development)
        settings = settings_or_exit(definition, os.environ, development=development)
        drop_celery_variables()
        lines = []
        for line in lines_of(definition, settings, organizations):
            lines.append(line)
            if not json_wanted:
                click.echo(line)  # at once: a server that does not answer takes its time
        if json_wanted:
            click.echo(as_json(lines))
        context.exit(1 if any(line.status == "fail" for line in lines) else 0)

    return command


def lines_of(definition: WorkerDefinition, settings: Settings, organizations: Sequence[str] = ()) -> Iterator[Line]:
    """Check everything, one after the other; no server is waited for longer than a few seconds, nothing is changed.

    Args:
        organizations: checked in the backend; without any, those of the settings.
    """
    yield Line("configuration", "ok")
    for warning in settings.warnings:
        yield Line("configuration", "warn", warning)
    yield from broker_lines(settings)
    ledger_answers = yield from redis_lines(settings)
    backend_answers = yield from backend_lines(settings, organizations or settings.organizations)
    if settings.chord.enabled:
        yield result_backend_line(definition, settings)
    if definition.checks:
        module, _, function = definition.checks.partition(":")
        yield from getattr(import_module(module), function)(settings, organizations or settings.organizations)
    yield from clock_lines(settings, ledger_answers=ledger_answers, backend_answers=backend_answers)
