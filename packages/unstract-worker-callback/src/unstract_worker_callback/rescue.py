"""Rescue of executions that the ledger never saw: their start message was lost, or the ledger's Redis was wiped.

Opt-in (`RESCUE_UNSEEN_AFTER`), for the organizations of `WORKER_ORGANIZATIONS` and those seen before. ETL and task runs
are started again from their ids, with file history, so that what was done is not listed again; an API run's files are
known to its start message alone, so it ends in ERROR.
"""

import random
import threading
from datetime import UTC, datetime

from attrs import define, field

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import Execution, ExecutionSummary
from unstract_worker_core.errors import BackendError, MessageError, WorkerError
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.messages import StartMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import is_permanent
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["Rescue"]

_OPEN = (ExecutionStatus.PENDING, ExecutionStatus.EXECUTING)
_LOST = "start message lost: the run is unknown to the ledger, start it again"
_log = get_logger(__name__)


@define(eq=False)
class Rescue:
    """Looks every now and then, with jitter, for executions older than `age` seconds that no run stands for."""

    runtime: Runtime
    age: float
    interval: float
    _seen: set[str] = field(factory=set, init=False)
    _stop: threading.Event = field(factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Look in a thread until `stop`."""
        self._thread = threading.Thread(target=self._loop, name="rescue", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def tick(self) -> int:
        """Rescue what is old enough; returns how many runs. Does nothing while start messages wait in the broker."""
        self._seen |= self.runtime.ledger.runs.organizations()
        if self.runtime.doorbells.starts_waiting() != 0:
            return 0
        organizations = sorted(self._seen.union(self.runtime.settings.organizations))
        return sum(self._look_at(organization) for organization in organizations)

    def _look_at(self, organization: str) -> int:
        rescued = 0
        try:
            found = self.runtime.backend.executions.list(organization, None, _OPEN, skip_unreadable=True)
        except (BackendError, MessageError) as error:  # one organization's trouble is not that of the others
            _log.warning("rescue could not look", organization_id=organization, error=str(error))
            return 0
        for summary in found:
            try:
                rescued += self._rescue(organization, summary)
            except (BackendError, MessageError) as error:  # nor one execution's
                _log.warning("rescue could not look", execution_id=summary.id, error=str(error))
                if not is_permanent(error):
                    break
        return rescued

    def _rescue(self, organization: str, summary: ExecutionSummary) -> bool:
        runs = self.runtime.ledger.runs
        if _age(summary.created_at) < self.age or runs.state(summary.id) is not None:
            return False
        message = _message(organization, self.runtime.backend.executions.get(organization, summary.id))
        accepted = runs.accept(
            message.execution_id,
            task=RunTask.EXECUTION,
            kind=message.kind,
            organization_id=organization,
            start=serialization.encode(message),
        )
        if accepted.fresh:
            _log.warning("an execution that the ledger never saw is rescued", execution_id=summary.id)
            self.runtime.metrics.rescues.labels(kind="unseen").inc()
            self.runtime.traces.accepted(message.execution_id, "unseen execution")
            self.runtime.doorbells.ring_start(message.execution_id, task=RunTask.EXECUTION, kind=message.kind)
        return accepted.fresh

    def _loop(self) -> None:
        while not self._stop.wait(self.interval * random.uniform(0.75, 1.25)):
            try:
                self.tick()
            except WorkerError as error:  # backend, broker or Redis away: the next tick looks again
                _log.warning("rescue could not look", error=str(error))
            except Exception:  # noqa: BLE001 - thread boundary: without it the rescue would end silently
                _log.exception("rescue failed unexpectedly")


def _message(organization: str, execution: Execution) -> StartMessage:
    kind = RunKind.API if execution.is_api else RunKind.ETL
    return StartMessage(
        organization_id=organization,
        workflow_id=execution.workflow_id,
        execution_id=execution.id,
        kind=kind,
        pipeline_id=execution.pipeline_id,
        log_events_id=execution.execution_log_id or None,
        use_file_history=kind is RunKind.ETL,
        refused=_LOST if kind is RunKind.API else None,
    )


def _age(created_at: str) -> float:
    """Seconds since an ISO 8601 time; none for what cannot be read, so that it is left alone."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(created_at)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
