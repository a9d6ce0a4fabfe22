"""Telling a pipeline's subscribers that a run begins: best effort, one event for each, journalled one by one."""

from unstract_worker_core.backend.pipelines import Pipeline
from unstract_worker_core.errors import BackendError
from unstract_worker_core.notifications import IN_PROGRESS, RunEvent, wanted_targets
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs import RunSession, reason_of
from unstract_worker_core.statuses import RunKind

__all__ = ["tell_subscribers"]

log = get_logger(__name__)


def tell_subscribers(session: RunSession, pipeline: Pipeline) -> None:
    """Enqueue an INPROGRESS event for each active target. A failure is logged; the run is started all the same."""
    notifications = session.runtime.backend.notifications
    try:
        targets = notifications.for_pipeline(session.organization_id, pipeline.id)
    except BackendError as error:
        log.warning("the pipeline's subscribers cannot be read", reason=reason_of(error))
        return
    kind = RunKind.API if pipeline.is_api else RunKind.ETL
    event = RunEvent(kind, pipeline.id, pipeline.name, IN_PROGRESS)
    for target in wanted_targets(targets):
        if session.journal_get(f"notified:{target.id}") is not None:
            continue
        session.check()
        key = session.key("INPROGRESS", target.id)
        try:
            row = notifications.enqueue(session.organization_id, event.addressed_to(target), key=key)
        except BackendError as error:
            log.warning("a subscriber is not told", notification_id=target.id, reason=reason_of(error))
            continue
        session.journal_put(f"notified:{target.id}", row or "not wanted")
