"""Telling the backend how the deliveries of its buffered rows ended (contract: tasks 6.3)."""

from unstract_worker_core.errors import BackendError, MessageError
from unstract_worker_core.messages import WebhookMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs import reason_of
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["mark"]

log = get_logger(__name__)


def mark(runtime: Runtime, message: WebhookMessage, *, dead: bool) -> None:
    """Mark the rows of a message; best effort, the backend's own lease on them is the net below."""
    if not message.buffer_row_ids or message.organization_id is None:
        return
    notifications = runtime.backend.notifications
    tell = notifications.mark_dead_letter if dead else notifications.mark_dispatched
    try:
        tell(int(message.organization_id), message.buffer_row_ids)
    except (BackendError, MessageError) as error:
        log.warning("buffered rows were not marked", dead=dead, reason=reason_of(error))
    except ValueError:
        log.warning("buffered rows were not marked", dead=dead, reason="organization_id is not a primary key")
