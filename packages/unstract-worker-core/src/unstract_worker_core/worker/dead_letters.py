"""Keeps a message that can never be processed as a dead letter: with its reason, redacted, its body cut to 4 KiB."""

import json
from typing import Any

from unstract_worker_core.ledger import DeadLetter
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.redaction import Redactor
from unstract_worker_core.queues import EXECUTOR_ANSWER_TASK
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.worker.message_validation import rejection_reason

_BODY_LIMIT = 4096
# Any argument of these may be a URL or a header with a credential, which no pattern tells from other text.
# An executor's answer is what it read in somebody's document.
_NEVER_KEPT = frozenset({"send_webhook_notification", EXECUTOR_ANSWER_TASK})

log = get_logger(__name__)


def dead_letter_task(runtime: Runtime, delivery: Delivery, reason: str) -> None:
    """Keep a delivered task. Raises LedgerError when it cannot be kept: the message must not be dropped."""
    dead_letter(
        runtime,
        task=delivery.task,
        task_id=delivery.task_id,
        queue=delivery.queue,
        reason=reason,
        content={"args": list(delivery.args), "kwargs": delivery.kwargs},
    )


def dead_letter_message(runtime: Runtime, message: Any, reason: str) -> None:
    """Keep a message that is no delivered task yet; its content only where it can be read. Raises LedgerError."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    content = message.payload if rejection_reason(message) is None else None
    called = content if isinstance(content, dict) else headers  # protocol 1 has all in its body
    dead_letter(
        runtime,
        task=str(called.get("task", "")),
        task_id=str(called.get("id", "")),
        queue=str((message.delivery_info or {}).get("routing_key", "")),
        reason=reason,
        content=content,
        kind="message",
    )


def dead_letter(
    runtime: Runtime, *, task: str, task_id: str, queue: str, reason: str, content: object | None, kind: str = "task"
) -> None:
    """Keep a message with what is known of it. Raises LedgerError.

    Args:
        content: its decoded body; None where it is not safe to keep. Of webhooks and
            executors' answers nothing is kept, by any worker.
        kind: counts in the metrics as a "task" or as a "message".
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
    )
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind).inc()
    log.error("message dead-lettered", task=letter.task, queue=letter.queue, reason=letter.reason)
