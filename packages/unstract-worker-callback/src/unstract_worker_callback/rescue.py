"""Rescue of executions that the ledger never saw: their start message was lost, or the ledger's Redis was wiped.

Opt-in (`RESCUE_UNSEEN_AFTER`), for the organizations of `WORKER_ORGANIZATIONS` and those seen before. ETL and task runs
are started again from their ids, with file history, so that completed files are not listed again. The files of an API
run were in its start message only, so it ends in ERROR.
"""

from datetime import UTC, datetime

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import Execution, ExecutionSummary
from unstract_worker_core.errors import BackendError, MessageError
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.periodic import PeriodicService
from unstract_worker_core.runs.failure_policy import is_permanent
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import ExecutionStatus, RunKind

_OPEN = (ExecutionStatus.PENDING, ExecutionStatus.EXECUTING)
_LOST = "start message lost: the run is unknown to the ledger, start it again"
_log = get_logger(__name__)


class Rescue(PeriodicService):
    """Accepts executions older than `age` seconds that have no run."""

    def __init__(self, runtime: Runtime, age: float, interval: float) -> None:
        super().__init__("rescue", interval)
        self.runtime = runtime
        self.age = age
        self._seen: set[str] = set()

    def tick(self) -> int:
        """Rescue executions; returns how many. Does nothing while start messages wait in the broker."""
        self._seen |= self.runtime.ledger.runs.organizations()
        if self.runtime.doorbells.starts_waiting() != 0:
            return 0
        organizations = sorted(self._seen.union(self.runtime.settings.organizations))
        return sum(self._rescue_all(organization) for organization in organizations)

    def _rescue_all(self, organization: str) -> int:
        rescued = 0
        try:
            found = self.runtime.backend.executions.list(organization, None, _OPEN, skip_unreadable=True)
        except (BackendError, MessageError) as error:  # the other organizations are still rescued
            _log.warning("rescue failed", organization_id=organization, error=str(error))
            return 0
        for summary in found:
            try:
                rescued += self._rescue(organization, summary)
            except (BackendError, MessageError) as error:  # the other executions are still rescued
                _log.warning("rescue failed", execution_id=summary.id, error=str(error))
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
    """Seconds since an ISO 8601 time; 0.0 for a time that cannot be read: its execution is not rescued."""
    try:
        return (datetime.now(UTC) - datetime.fromisoformat(created_at)).total_seconds()
    except (TypeError, ValueError):
        return 0.0
