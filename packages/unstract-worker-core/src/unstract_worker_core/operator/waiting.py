"""Why an open run waits, in one sentence, from live facts: which workers are alive, what they say, the last error."""

from collections.abc import Sequence

from unstract_worker_core.fleet import FleetMember, Heartbeat
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.views import RunView
from unstract_worker_core.statuses import RunKind, WorkerType

__all__ = ["why_it_waits"]


def why_it_waits(run: RunView, members: Sequence[FleetMember]) -> str:
    """The reason, for the column of `runs`; empty for a run that has ended."""
    if run.state is RunState.DONE:
        return ""
    alive = [member.heartbeat for member in members if member.alive]
    silent = [call for heartbeat in alive for call in heartbeat.silent_calls if run.run_id in call]
    if silent or run.owners:
        return silent[0] if silent else "working"
    needed = _needed(run)
    able = [heartbeat for heartbeat in alive if heartbeat.worker == needed.value]
    return _of_unowned(run, needed.value.replace("_", "-"), able)


def _of_unowned(run: RunView, worker: str, able: Sequence[Heartbeat]) -> str:
    """`able`: the live workers of the type that takes the next step."""
    if not able:
        return f"no {worker} worker is alive"
    if run.last_error:
        return f"put off: {run.last_error}"
    if all(heartbeat.backend != "closed" for heartbeat in able):
        return f"the backend does not answer: circuit breaker open in {len(able)} worker(s)"
    if all(heartbeat.running >= heartbeat.slots for heartbeat in able):
        return f"all {sum(one.slots for one in able)} slots of {len(able)} {worker} worker(s) are in use"
    return "its doorbell is on the way"


def _needed(run: RunView) -> WorkerType:
    """The type of worker that takes the run's next step."""
    if run.task is RunTask.WEBHOOK:
        return WorkerType.GENERAL
    if run.state is RunState.READY:
        return WorkerType.CALLBACK
    if run.state is RunState.ARMED:
        return WorkerType.FILE_PROCESSING
    return WorkerType.API_DEPLOYMENT if run.kind is RunKind.API else WorkerType.GENERAL
