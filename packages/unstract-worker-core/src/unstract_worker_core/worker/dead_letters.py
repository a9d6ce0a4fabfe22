"""Puts a message that can never be processed aside, once: with its reason, redacted, its body cut to 4 KiB."""

import json
from datetime import UTC, datetime

from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.redaction import Redactor
from unstract_worker_core.worker.delivery import Delivery
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["bury", "put_aside"]

_BODY_LIMIT = 4096
# Any argument of these may be a URL or a header with a credential, which no pattern tells from other text.
_NEVER_KEPT = frozenset({"send_webhook_notification"})

log = get_logger(__name__)


def bury(runtime: Runtime, delivery: Delivery, reason: str) -> None:
    """Dead-letter a delivered task. Raises LedgerError when it cannot be kept: the message must not be dropped."""
    put_aside(
        runtime,
        task=delivery.task,
        task_id=delivery.task_id,
        queue=delivery.queue,
        reason=reason,
        content={"args": list(delivery.args), "kwargs": delivery.kwargs},
    )


def put_aside(
    runtime: Runtime, *, task: str, task_id: str, queue: str, reason: str, content: object | None, kind: str = "task"
) -> None:
    """Dead-letter a message. `content` is its decoded body; None where it is not safe to keep. Raises LedgerError.

    Of a webhook nothing is kept, at whichever worker it ended up.
    """
    if task in _NEVER_KEPT:
        content = None
    redactor = Redactor(runtime.settings.secrets())
    body = "" if content is None else json.dumps(redactor.value(content), default=str)[:_BODY_LIMIT]
    letter = DeadLetter(
        task=redactor.text(task)[:255],
        queue=queue[:255],
        reason=redactor.text(reason)[:500],
        task_id=redactor.text(task_id)[:255],
        body=body,
        at=datetime.now(UTC).isoformat(timespec="microseconds"),
    )
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind).inc()
    log.error("message dead-lettered", task=letter.task, queue=letter.queue, reason=letter.reason)
