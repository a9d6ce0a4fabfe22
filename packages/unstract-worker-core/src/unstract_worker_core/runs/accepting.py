"""Accepting a start message: written into the ledger before anything else happens, then rung for."""

from unstract_worker_core import serialization
from unstract_worker_core.ledger import Accepted, RunState, RunTask
from unstract_worker_core.messages import StartMessage, read_start
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.boundary import accepting
from unstract_worker_core.worker.delivery import Delivery
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["accept_run", "accept_start", "put_start"]

log = get_logger(__name__)


def accept_start(runtime: Runtime, delivery: Delivery, kind: RunKind) -> None:
    """Accept `async_execute_bin`; a repeated message changes nothing. Raises MessageError if it cannot be read."""
    message = read_start(delivery.args, delivery.kwargs, kind=kind)
    with bind_task(execution_id=message.execution_id, organization_id=message.organization_id):
        accepted = accepting(runtime, lambda: put_start(runtime, message))
        _ring(runtime, accepted, message.execution_id, RunTask.EXECUTION, kind)


def put_start(runtime: Runtime, message: StartMessage) -> Accepted:
    """Write a start message into the ledger. Raises LedgerError."""
    accepted = runtime.ledger.runs.accept(
        message.execution_id,
        task=RunTask.EXECUTION,
        kind=message.kind,
        organization_id=message.organization_id,
        start=serialization.encode(message),
    )
    return _traced(runtime, accepted, message.execution_id, RunTask.EXECUTION)


def accept_run(runtime: Runtime, run_id: str, *, task: RunTask, organization_id: str, message: object) -> None:
    """Accept what has no execution yet, under an id made from its message."""

    def put() -> Accepted:
        accepted = runtime.ledger.runs.accept(
            run_id, task=task, kind=RunKind.ETL, organization_id=organization_id, start=serialization.encode(message)
        )
        return _traced(runtime, accepted, run_id, task)

    _ring(runtime, accepting(runtime, put), run_id, task, RunKind.ETL)


def _traced(runtime: Runtime, accepted: Accepted, run_id: str, task: RunTask) -> Accepted:
    if accepted.fresh:  # a trace has one root, however often its message comes
        runtime.traces.accepted(run_id, task)
    return accepted


def _ring(runtime: Runtime, accepted: Accepted, run_id: str, task: RunTask, kind: RunKind) -> None:
    log.info("message accepted", run_id=run_id, fresh=accepted.fresh, state=accepted.state.value)
    if accepted.state is RunState.ACCEPTED:
        runtime.doorbells.ring_start(run_id, task=task, kind=kind)
