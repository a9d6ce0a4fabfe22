"""What an operator does to a run: another look now, an abort. Both may be repeated."""

from unstract_worker_callback.runs_command.showing import found, how_it_ended
from unstract_worker_core.ledger import Look, RunState, RunTask
from unstract_worker_core.ledger.views import RunView
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.operator.console import AWAY, ENDED, REFUSED, Access, confirm, note_action, stop_here
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

__all__ = ["abort_run", "retry_run"]

_STOPS_BY = {
    RunState.ACCEPTED: "the worker that starts it (api-deployment or general) ends it instead",
    RunState.ARMED: "files in work are finished, the file-processing worker marks the others as not started",
    RunState.READY: "the callback worker writes STOPPED instead of its result",
}
_NO_STOP = {
    RunTask.WEBHOOK: "a webhook delivery ends by itself after its last try",
    RunTask.SCHEDULE: "a schedule becomes an execution within seconds: abort that",
    RunTask.CHORD_BATCH: "the chord that it belongs to is the other workers': stop the execution at the platform",
}


def retry_run(access: Access, run_id: str, *, yes: bool) -> str:
    """Make a run due, forget its failed attempts, and ring for it; says what was done."""
    run = found(access, run_id)
    if run.state is RunState.DONE:
        stop_here(f"run {run_id} cannot be retried: {how_it_ended(access, run_id)}", ENDED)
    if run.task is RunTask.CHORD_BATCH:
        stop_here(f"run {run_id} is driven by its own Celery message, which the broker delivers again", REFUSED)
    confirm(f"Look at run {run_id} ({run.state.value}, {_progress(run)}) now, with fresh attempts?", yes=yes)
    told = _look_now(access, run_id, "retry")
    return f"run {run_id}: {told}"


def abort_run(access: Access, run_id: str, *, yes: bool) -> str:
    """Set the run's stop, and have it looked at; says how it will end."""
    run = found(access, run_id)
    if run.state is RunState.DONE:
        ended = how_it_ended(access, run_id)
        if run.stop:
            return f"run {run_id} was aborted before: {ended}"
        stop_here(f"run {run_id} cannot be aborted: {ended}", ENDED)
    if run.task in _NO_STOP:
        stop_here(f"run {run_id} cannot be aborted: {_NO_STOP[run.task]}", REFUSED)
    confirm(f"Abort run {run_id} ({run.state.value}, {_progress(run)})? It ends STOPPED; this is final.", yes=yes)
    access.ledger.runs.request_stop(run_id)
    told = _look_now(access, run_id, "abort")
    return f"run {run_id}: it will end STOPPED; {_STOPS_BY[run.state]}; {told}"


def _look_now(access: Access, run_id: str, action: str) -> str:
    retried = access.operator.retry(run_id)
    if retried.state in (None, RunState.DONE):  # it ended between our look and our step
        stop_here(f"run {run_id} has ended meanwhile: {how_it_ended(access, run_id)}", ENDED)
    note_action(action, run_id=run_id, state=str(retried.state), held=retried.held)
    look = access.ledger.runs.look(run_id, waiting={}, recheck_seconds=access.settings.ledger.recheck_seconds)
    bells = CeleryDoorbells(access.settings.broker, Metrics())
    try:
        told = _ring(bells, run_id, look)
    finally:
        bells.close()
    if told is None:
        stop_here(
            f"run {run_id} is due now, but the broker could not be asked to ring for it (CELERY_BROKER_BASE_URL): "
            "the sweeper of a callback worker rings once the broker is back, or repeat this command",
            AWAY,
        )
    busy = f"live leases, left alone: {retried.held}" if retried.held else ""
    return "; ".join(part for part in (told, busy) if part)


def _ring(bells: CeleryDoorbells, run_id: str, look: Look) -> str | None:
    """Ring for what a look found, as the sweeper does; None where the broker cannot be asked."""
    if look.action not in ("ring", "orchestrate", "finalise") or look.kind is None:
        return "nothing had to be rung for"
    if bells.depth((DOORBELL_QUEUES[Doorbell.CALLBACK],)) is None:
        return None
    if look.action == "finalise":
        bells.ring_callback(run_id)
        return "the callback worker was rung"
    if look.action == "orchestrate":
        bells.ring_start(run_id, task=look.task or RunTask.EXECUTION, kind=look.kind)
        return f"the {'api-deployment' if look.kind is RunKind.API else 'general'} worker was rung"
    bells.ring_batches(run_id, epoch=look.epoch, batches=look.batches, kind=look.kind)
    return f"file-processing workers were rung for {len(look.batches)} batches"


def _progress(run: RunView) -> str:
    return f"{run.done} of {run.batches} batches done" if run.batches else "no batches yet"
