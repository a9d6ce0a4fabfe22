"""Telling a pipeline's subscribers that a run begins: best effort, one event for each, journalled one by one."""

from datetime import UTC, datetime

from unstract_worker_core.backend.models import Notification, NotificationEvent, Pipeline
from unstract_worker_core.errors import BackendError
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs import RunSession, reason_of

__all__ = ["tell_subscribers", "wanted"]

log = get_logger(__name__)


def tell_subscribers(session: RunSession, pipeline: Pipeline) -> None:
    """Enqueue an INPROGRESS event for each active target. A failure is logged; the run is started all the same."""
    notifications = session.runtime.backend.notifications
    try:
        targets = notifications.for_pipeline(session.organization_id, pipeline.id)
    except BackendError as error:
        log.warning("the pipeline's subscribers cannot be read", reason=reason_of(error))
        return
    for target in filter(wanted, targets.notifications):
        if session.journal_get(f"notified:{target.id}") is not None:
            continue
        session.check()
        key = session.key("INPROGRESS", target.id)
        try:
            row = notifications.enqueue(session.organization_id, _event(pipeline, target), key=key)
        except BackendError as error:
            log.warning("a subscriber is not told", notification_id=target.id, reason=reason_of(error))
            continue
        session.journal_put(f"notified:{target.id}", row or "not wanted")


def wanted(target: Notification) -> bool:
    """Whether a target is told about runs at all."""
    return target.is_active and target.notification_type == "WEBHOOK"


def _event(pipeline: Pipeline, target: Notification) -> NotificationEvent:
    return NotificationEvent(
        notification_id=target.id,
        type="API" if pipeline.is_api else "ETL",
        pipeline_id=pipeline.id,
        pipeline_name=pipeline.name,
        status="INPROGRESS",
        platform=target.platform or "API",
        timestamp=datetime.now(UTC).isoformat(),
    )
