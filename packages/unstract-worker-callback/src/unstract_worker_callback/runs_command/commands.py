"""`runs [--watch] [--json]`, `runs show`, `runs retry`, `runs abort`: what an operator sees and does."""

import sys
import time

import click

from unstract_worker_callback.runs_command.actions import abort_run, retry_run
from unstract_worker_callback.runs_command.showing import Wanted, page_as_json, page_as_text, show_run
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.operator.console import opened
from unstract_worker_core.worker.definition import WorkerDefinition

__all__ = ["runs"]

_STATES = [state.value for state in RunState if state is not RunState.DONE]


def runs(definition: WorkerDefinition) -> click.Command:
    """The group of commands; without one of them the open runs are listed."""

    @click.group(invoke_without_command=True)
    @click.option("--state", type=click.Choice(_STATES), help="Only runs in this state.")
    @click.option("--task", type=click.Choice([task.value for task in RunTask]), help="Only runs of this task.")
    @click.option("--organization", help="Only runs of this organization.")
    @click.option("--overdue", is_flag=True, help="Only runs whose next look is past.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    @click.option("--offset", type=click.IntRange(0), default=0, help="Where to go on, as the last page said.")
    @click.option("--watch", is_flag=True, help="Look again and again, until Ctrl-C.")
    @click.option("--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="For --watch.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, a line a look.")
    @click.pass_context
    def group(
        context: click.Context, *, state: str | None, task: str | None, organization: str | None, overdue: bool,
        limit: int, offset: int, watch: bool, interval: float, as_json: bool,
    ) -> None:  # fmt: skip
        """Runs that are open, the longest due first. Needs the broker's and the ledger's variables, no backend key."""
        if context.invoked_subcommand is not None:
            return
        wanted = Wanted(RunState(state) if state else None, RunTask(task) if task else None, organization, overdue)
        with opened(definition) as access:
            while True:
                page = access.operator.page(limit=limit, offset=offset, wanted=wanted)
                _print(page_as_json(page, access) if as_json else page_as_text(page, access), fresh=watch)
                if not watch:
                    return
                time.sleep(interval)

    _add_commands(group, definition)
    return group


def _print(text: str, *, fresh: bool) -> None:
    """On a terminal in place of what was there, if `fresh`."""
    if fresh and sys.stdout.isatty():
        click.clear()
    click.echo(text)


def _add_commands(group: click.Group, definition: WorkerDefinition) -> None:
    @group.command(help="One run with its batches; of a finished one what it said last.")
    @click.argument("run_id")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def show(*, run_id: str, as_json: bool) -> None:
        with opened(definition) as access:
            click.echo(show_run(access, run_id, as_json=as_json))

    @group.command(help="Have runs looked at now, with fresh attempts. What a worker is busy with is left to it.")
    @click.argument("run_ids", nargs=-1, required=True)
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def retry(*, run_ids: tuple[str, ...], yes: bool) -> None:
        with opened(definition) as access:
            for run_id in run_ids:
                click.echo(retry_run(access, run_id, yes=yes))

    @group.command(help="Stop executions: no further file starts, what is done is kept, the status becomes STOPPED.")
    @click.argument("run_ids", nargs=-1, required=True)
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def abort(*, run_ids: tuple[str, ...], yes: bool) -> None:
        with opened(definition) as access:
            for run_id in run_ids:
                click.echo(abort_run(access, run_id, yes=yes))
