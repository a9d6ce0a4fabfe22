"""Notifications of a finished run: one event per subscriber, from an outbox in the run's journal."""

from datetime import UTC, datetime

import structlog

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.models import (
    ExecutionCounts,
    Notification,
    NotificationEvent,
    NotificationTargets,
)
from unstract_worker_core.errors import BackendError, BackendUnavailable, MessageError, OutcomeUnknown
from unstract_worker_core.ledger import FinalState, Held, RunClaim, RunContext, Runs
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["notify", "status_text"]

_log = structlog.get_logger(__name__)


def status_text(status: ExecutionStatus, kind: RunKind) -> str:
    """The status as subscribers know it (contract: tasks 6.4)."""
    if status is ExecutionStatus.COMPLETED:
        return "COMPLETED" if kind is RunKind.API else "SUCCESS"
    return status.value


def notify(backend: Backend, runs: Runs, claim: RunClaim, held: Held, context: RunContext, final: FinalState) -> int:
    """Enqueue one event for each active subscriber, journalled one by one; returns how many were enqueued.

    Raises BackendUnavailable or OutcomeUnknown: to be repeated later. The backend keeps no keys here, so a kill
    between its answer and our journal repeats that one event: at least once.
    """
    if context.pipeline_id is None or final.status is None:
        return 0
    try:
        targets = _targets(backend, context)
    except (BackendUnavailable, OutcomeUnknown):
        raise
    except (BackendError, MessageError) as error:
        _log.warning("no notifications: the subscribers cannot be read", error=str(error))
        return 0
    sent = 0
    for target in targets.notifications:
        field = f"notified:{target.id}"
        if not target.is_active or target.notification_type != "WEBHOOK" or field in claim.journal:
            continue
        held.check()
        event = _event(context, final, final.status, target, targets)
        runs.note(claim, field, _enqueue(backend, context, event, claim.epoch))
        sent += 1
    return sent


def _targets(backend: Backend, context: RunContext) -> NotificationTargets:
    group = backend.notifications
    read = group.for_api if context.kind is RunKind.API else group.for_pipeline
    return read(context.organization_id, str(context.pipeline_id), execution_id=context.execution_id)


def _enqueue(backend: Backend, context: RunContext, event: NotificationEvent, epoch: int) -> str:
    key = f"{context.execution_id}:{epoch}:{event.status}:{event.notification_id}"
    try:
        row = backend.notifications.enqueue(context.organization_id, event, key=key)
    except (BackendUnavailable, OutcomeUnknown):
        raise
    except BackendError as error:
        _log.warning("a notification was refused", notification_id=event.notification_id, error=str(error))
        return "refused"
    return row or "not wanted"


def _event(
    context: RunContext, final: FinalState, status: ExecutionStatus, target: Notification, targets: NotificationTargets
) -> NotificationEvent:
    counted = ExecutionCounts(final.total_files, final.successful_files, final.failed_files)
    return NotificationEvent(
        notification_id=target.id,
        type="API" if context.kind is RunKind.API else "ETL",
        pipeline_id=str(context.pipeline_id),
        pipeline_name=targets.name,
        status=status_text(status, context.kind),
        platform=target.platform or "API",
        execution_id=context.execution_id,
        error_message=final.error,
        timestamp=datetime.now(UTC).isoformat(),
        additional_data=targets.counts or counted,
    )
