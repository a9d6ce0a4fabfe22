"""Events for the subscribers of a pipeline or an API deployment (contract: tasks 6.4); the backend delivers them."""

from collections.abc import Iterator
from datetime import UTC, datetime

from attrs import frozen

from unstract_worker_core.backend.notifications import (
    ExecutionCounts,
    Notification,
    NotificationEvent,
    NotificationTargets,
)
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["IN_PROGRESS", "RunEvent", "status_text", "wanted_targets"]

IN_PROGRESS = "INPROGRESS"


@frozen
class RunEvent:
    """What happened to a run, for any of its subscribers.

    Attributes:
        status: as subscribers know it, see `status_text`.
        execution_id: None where a run begins.
        counts: the files of a run that ended.
    """

    kind: RunKind
    pipeline_id: str
    pipeline_name: str
    status: str
    execution_id: str | None = None
    error_message: str | None = None
    counts: ExecutionCounts | None = None

    def addressed_to(self, target: Notification) -> NotificationEvent:
        """The event for one subscriber."""
        return NotificationEvent(
            notification_id=target.id,
            type="API" if self.kind is RunKind.API else "ETL",
            pipeline_id=self.pipeline_id,
            pipeline_name=self.pipeline_name,
            status=self.status,
            platform=target.platform or "API",
            execution_id=self.execution_id,
            error_message=self.error_message,
            timestamp=datetime.now(UTC).isoformat(),
            additional_data=self.counts,
        )


def status_text(status: ExecutionStatus, kind: RunKind) -> str:
    """A final status as subscribers know it."""
    if status is ExecutionStatus.COMPLETED:
        return "COMPLETED" if kind is RunKind.API else "SUCCESS"
    return status.value


def wanted_targets(targets: NotificationTargets) -> Iterator[Notification]:
    """The subscribers that are told about runs at all."""
    return (each for each in targets.notifications if each.is_active and each.notification_type == "WEBHOOK")
