"""A share of the traffic: what belongs to today's workers is handed on to a queue that only they consume.

Decided before Celery sees the message, so that nothing of it is run, delayed or changed here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from unstract_worker_core.errors import LedgerError
from unstract_worker_core.migration.forwarding import Forwarding, NotForwarded
from unstract_worker_core.migration.traffic import Subject, subject_of
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["Share"]

_PAUSE_SECONDS = 1.0

log = get_logger(__name__)


class Share:
    """The share of one consumer. Used by its thread alone."""

    def __init__(self, runtime: Runtime) -> None:
        """Nothing is connected yet."""
        self._runtime = runtime
        self._traffic = runtime.settings.traffic
        self._forwarding = Forwarding(runtime.settings.broker)

    def settled(self, message: Any, connection_errors: tuple[type[Exception], ...]) -> bool:
        """Whether an admitted message was the other kind's; then it was handed on, or is back in its queue."""
        task, task_id, args, kwargs = _call(message)
        subject = subject_of(task, task_id, args, kwargs)
        if subject is None:
            return False
        queue = str((message.delivery_info or {}).get("routing_key") or "")
        count = self._runtime.metrics.traffic
        try:
            ours = self._is_ours(subject, queue, message)
            if not ours:
                self._forwarding.hand_on(message, queue + self._traffic.forward_suffix)
        except (NotForwarded, LedgerError) as error:
            count.labels(task, "failed").inc()
            log.warning("not handed on yet; it goes back", task=task, task_id=task_id, error=str(error))
            self._runtime.draining.wait(_PAUSE_SECONDS)
            message.requeue()
            return True
        count.labels(task, "ours" if ours else "forwarded").inc()
        if not ours:
            log.info("handed on", task=task, task_id=task_id, execution_id=subject.execution_id, queue=queue)
            message.ack_log_error(log, connection_errors)
        return not ours

    def _is_ours(self, subject: Subject, queue: str, message: Any) -> bool:
        # What was handed on once is never handed on again, whoever consumes that queue.
        if not queue or queue.endswith(self._traffic.forward_suffix):
            return True
        if self._traffic.takes(subject.organization_id, subject.execution_id):
            return True
        # Accepted here before the share changed, and delivered again: the ledger has it already.
        return bool(subject.run_id and _again(message)) and self._runtime.ledger.runs.state(subject.run_id) is not None


def _again(message: Any) -> bool:
    return bool((message.delivery_info or {}).get("redelivered") or message.headers.get("redelivered"))


def _call(message: Any) -> tuple[str, str, Sequence[Any], Mapping[str, Any]]:
    """Task, id and arguments of a message that was admitted."""
    payload, headers = message.payload, message.headers
    if "task" in headers:
        return headers["task"], headers["id"], payload[0], payload[1]
    return payload["task"], payload["id"], payload.get("args", ()), payload.get("kwargs", {})
