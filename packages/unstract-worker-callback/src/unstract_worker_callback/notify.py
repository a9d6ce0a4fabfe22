"""Notifications of a finished run: one event for each subscriber, journalled one by one."""

from unstract_worker_core.backend.pipelines import (
    ExecutionCounts,
    Notification,
    NotificationTargets,
    RunEvent,
    status_text,
    wanted_targets,
)
from unstract_worker_core.ledger import FinalState, RunContext
from unstract_worker_core.runs.failure_policy import call_or_go_on
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.statuses import ExecutionStatus, RunKind


def notify(session: RunSession, context: RunContext, final: FinalState) -> None:
    """Enqueue one event for each active subscriber; a run that completed without files has none (contract: flows b.11).

    At least once: the backend keeps no keys here, so a crash between its answer and the journal repeats the event.

    Raises:
        BackendError: to be repeated later. A permanent error is logged instead.
    """
    empty = final.status is ExecutionStatus.COMPLETED and final.total_files == 0
    if context.pipeline_id is None or final.status is None or empty:
        return
    targets = _targets(session, context, context.pipeline_id)
    if targets is None:
        return
    event = RunEvent(
        type=context.kind.upper(),
        pipeline_id=context.pipeline_id,
        pipeline_name=targets.name,
        status=status_text(final.status, context.kind),
        execution_id=context.execution_id,
        error_message=final.error,
        additional_data=targets.counts
        or ExecutionCounts(final.total_files, final.successful_files, final.failed_files),
    )
    for target in wanted_targets(targets):
        name = f"notified:{target.id}"
        if session.journal_get(name) is None:
            session.held.check()
            session.journal_put(name, _enqueue(session, event, target))


def _targets(session: RunSession, context: RunContext, pipeline_id: str) -> NotificationTargets | None:
    notifications = session.runtime.backend.notifications
    read = notifications.for_api if context.kind is RunKind.API else notifications.for_pipeline
    return call_or_go_on(
        lambda: read(context.organization_id, pipeline_id, execution_id=context.execution_id),
        None,
        "no notifications: the subscribers cannot be read",
    )


def _enqueue(session: RunSession, event: RunEvent, target: Notification) -> str:
    """The journal entry: the id of the buffer's row, or why there is none."""
    key = f"{event.execution_id}:{session.claim.epoch}:{event.status}:{target.id}"
    enqueue = session.runtime.backend.notifications.enqueue
    return call_or_go_on(
        lambda: enqueue(session.organization_id, event, target, key=key) or "not wanted",
        "refused",
        "a notification was refused",
        notification_id=target.id,
    )
