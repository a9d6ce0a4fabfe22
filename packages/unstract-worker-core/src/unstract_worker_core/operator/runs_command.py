"""`runs [--watch] [--json]`, `runs show`, `runs retry`, `runs abort`."""

from functools import partial
from operator import attrgetter

import click

from unstract_worker_core.ledger import DueDecision, RunState, RunTask
from unstract_worker_core.ledger.views import Retried, RunView
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.operator.console import (
    EXIT_ENDED,
    EXIT_REFUSED,
    EXIT_UNAVAILABLE,
    Access,
    act_on_each,
    confirm,
    fail,
    note_action,
    open_ledger,
    print_again,
)
from unstract_worker_core.operator.runs_showing import (
    RunFilter,
    find_run,
    how_it_ended,
    page_as_json,
    page_as_text,
    show_run,
)
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

_ID = attrgetter("run_id")
_STOPS_BY = {
    RunState.ACCEPTED: "a callback worker ends it before it is started",
    RunState.ARMED: "files in work are finished, a callback worker marks the others as not started",
    RunState.READY: "a callback worker writes STOPPED instead of its result",
}
_NO_STOP = {
    RunTask.WEBHOOK: "a webhook delivery ends by itself after its last try",
    RunTask.SCHEDULE: "a schedule becomes an execution within seconds: abort that",
    RunTask.CHORD_BATCH: "the chord that it belongs to is the other workers': stop the execution at the platform",
}
_STATES = [state.value for state in RunState if state is not RunState.DONE]


def retry_run(access: Access, run: RunView, *, yes: bool) -> str:
    """Make a run due, forget its failed attempts, and ring for it; says what was done."""
    run_id = run.run_id
    if run.state is RunState.DONE:
        fail(f"run {run_id} cannot be retried: {how_it_ended(access, run_id)}", EXIT_ENDED)
    if run.task is RunTask.CHORD_BATCH:
        fail(f"run {run_id} is driven by its own Celery message, which the broker delivers again", EXIT_REFUSED)
    confirm(f"Retry run {run_id} ({run.state.value}, {_progress(run)}) now, with fresh attempts?", yes=yes)
    retried = _make_due(access, run_id, "retry")
    done = f"it was stopped: {_STOPS_BY[run.state]}" if run.stop else _ring_now(access, run_id)
    return f"run {run_id}: {'; '.join(filter(None, (done, _left_alone(retried))))}"


def abort_run(access: Access, run: RunView, *, yes: bool) -> str:
    """Set the run's stop and make it due, so that a callback worker's sweeper ends it; says how it will end."""
    run_id = run.run_id
    if run.state is RunState.DONE:
        ended = how_it_ended(access, run_id)
        if run.stop:
            return f"run {run_id} was aborted before: {ended}"
        fail(f"run {run_id} cannot be aborted: {ended}", EXIT_ENDED)
    if run.task in _NO_STOP:
        fail(f"run {run_id} cannot be aborted: {_NO_STOP[run.task]}", EXIT_REFUSED)
    confirm(f"Abort run {run_id} ({run.state.value}, {_progress(run)})? It ends STOPPED; this is final.", yes=yes)
    access.ledger.runs.request_stop(run_id)
    retried = _make_due(access, run_id, "abort")
    parts = ("it will end STOPPED", _STOPS_BY[run.state], _left_alone(retried), _warn_if_no_callback_worker(access))
    return f"run {run_id}: {'; '.join(filter(None, parts))}"


def _make_due(access: Access, run_id: str, action: str) -> Retried:
    retried = access.operator.retry(run_id)
    if retried.state in (None, RunState.DONE):  # it ended between our look and our step
        fail(f"run {run_id} has ended meanwhile: {how_it_ended(access, run_id)}", EXIT_ENDED)
    note_action(action, run_id=run_id, state=str(retried.state), held=retried.held)
    return retried


def _left_alone(retried: Retried) -> str:
    return f"live leases, left alone: {retried.held}" if retried.held else ""


def _warn_if_no_callback_worker(access: Access) -> str:
    alive = (member.heartbeat.worker for member in access.fleet.members() if member.alive)
    return "" if WorkerType.CALLBACK.value in alive else "no callback worker is alive: start one"


def _ring_now(access: Access, run_id: str) -> str:
    decision = access.ledger.runs.decide_due(run_id, waiting={}, recheck_seconds=access.settings.ledger.recheck_seconds)
    bells = CeleryDoorbells(access.settings.broker, Metrics())
    try:
        rung = _ring(bells, run_id, decision)
    finally:
        bells.close()
    if rung is None:
        fail(
            f"run {run_id} is due now, but no doorbell could be sent (CELERY_BROKER_BASE_URL): "
            "a callback worker sends it once the broker is back, or repeat this command",
            EXIT_UNAVAILABLE,
        )
    return rung


def _ring(bells: CeleryDoorbells, run_id: str, decision: DueDecision) -> str | None:
    """Ring for what is due, as the sweeper does; None where the broker cannot be asked."""
    if decision.action not in ("ring", "orchestrate", "finalise") or decision.kind is None:
        return "no doorbell was needed"
    if bells.depth((DOORBELL_QUEUES[Doorbell.CALLBACK],)) is None:
        return None
    if decision.action == "finalise":
        bells.ring_callback(run_id)
        return "a doorbell was sent to the callback worker"
    if decision.action == "orchestrate":
        bells.ring_start(run_id, task=decision.task or RunTask.EXECUTION, kind=decision.kind)
        return f"a doorbell was sent to the {'api-deployment' if decision.kind is RunKind.API else 'general'} worker"
    bells.ring_batches(run_id, epoch=decision.epoch, batches=decision.batches, kind=decision.kind)
    return f"doorbells were sent to file-processing for {len(decision.batches)} batches"


def _progress(run: RunView) -> str:
    return f"{run.done} of {run.batches} batches done" if run.batches else "no batches yet"


def runs(definition: WorkerDefinition) -> click.Command:
    """The group of commands; without one of them the open runs are listed."""

    @click.group(invoke_without_command=True)
    @click.option("--state", type=click.Choice(_STATES), help="Only runs in this state.")
    @click.option("--task", type=click.Choice([task.value for task in RunTask]), help="Only runs of this task.")
    @click.option("--organization", help="Only runs of this organization.")
    @click.option("--overdue", is_flag=True, help="Only runs that are overdue.")
    @click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
    @click.option("--offset", type=click.IntRange(0), default=0, help="Offset of the next page, as the last page said.")
    @click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
    @click.option("--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object per refresh on stdout.")
    @click.pass_context
    def group(
        context: click.Context, *, state: str | None, task: str | None, organization: str | None, overdue: bool,
        limit: int, offset: int, watch: bool, interval: float, as_json: bool,
    ) -> None:  # fmt: skip
        """List open runs, the longest due first. Needs the broker's and the ledger's variables, no backend key."""
        if context.invoked_subcommand is not None:
            return
        wanted = RunFilter(RunState(state) if state else None, RunTask(task) if task else None, organization, overdue)
        with open_ledger(definition) as access:
            show = page_as_json if as_json else page_as_text
            print_again(
                lambda: show(access.operator.page(limit=limit, offset=offset, wanted=wanted), access),
                watch=watch,
                interval=interval,
            )

    _add_commands(group, definition)
    return group


def _add_commands(group: click.Group, definition: WorkerDefinition) -> None:
    @group.command(help="Show one run with its batches, or how it ended.")
    @click.argument("run_id")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    def show(*, run_id: str, as_json: bool) -> None:
        with open_ledger(definition) as access:
            click.echo(show_run(access, run_id, as_json=as_json))

    @group.command(help="Make runs due now, with fresh attempts. Batches under a live lease stay with their worker.")
    @click.argument("run_ids", nargs=-1, required=True)
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def retry(*, run_ids: tuple[str, ...], yes: bool) -> None:
        with open_ledger(definition) as access:
            act_on_each(run_ids, partial(find_run, access), _ID, lambda run: retry_run(access, run, yes=yes))

    @group.command(help="Stop executions: no further file starts, what is done is kept, the status becomes STOPPED.")
    @click.argument("run_ids", nargs=-1, required=True)
    @click.option("--yes", is_flag=True, help="Do not ask.")
    def abort(*, run_ids: tuple[str, ...], yes: bool) -> None:
        with open_ledger(definition) as access:
            act_on_each(run_ids, partial(find_run, access), _ID, lambda run: abort_run(access, run, yes=yes))
