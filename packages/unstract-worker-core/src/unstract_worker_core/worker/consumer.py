"""Celery's consumer; what cannot be processed is dead-lettered once, acknowledged, and never logged whole."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from celery.worker.consumer import Consumer as CeleryConsumer

from unstract_worker_core.errors import LedgerError
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.worker.admission import refusal
from unstract_worker_core.worker.dead_letters import put_aside

if TYPE_CHECKING:
    from unstract_worker_core.migration.sharing import Share
    from unstract_worker_core.worker.process import WorkerProcess

__all__ = ["Consumer"]

# What a message can raise in Celery's own handling of it. Connection errors are not among these.
_MESSAGE_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

log = get_logger(__name__)


class Consumer(CeleryConsumer):  # type: ignore[misc]
    """Set by `worker_consumer`; the process that it serves hangs on the app."""

    @property
    def process(self) -> "WorkerProcess":
        """The process of this consumer."""
        process: WorkerProcess = self.app.worker_process
        return process

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's handler behind the admission and, where this fleet takes only a part of the traffic, the share."""
        receive = super().create_task_handler(*args, **kwargs)
        share = self.share

        def on_task_received(message: Any) -> None:
            self.process.message_seen()
            reason = refusal(message)
            if reason is not None:
                self.refuse(message, reason)
                return
            if share is not None and share.settled(message, self.connection_errors):
                return
            try:
                receive(message)
            except _MESSAGE_ERRORS as error:
                log.warning("message not understood", kind=type(error).__name__, exc_info=True)
                self.refuse(message, f"Celery cannot read it ({type(error).__name__})")
                return
            self.process.task_received(message)

        return on_task_received

    @cached_property
    def share(self) -> "Share | None":
        """What decides about each message; None where everything is ours."""
        if self.process.settings.traffic.whole:
            return None
        from unstract_worker_core.migration.sharing import Share  # few processes need it, and it loads a driver

        return Share(self.process.runtime())

    def refuse(self, message: Any, reason: str, *, task: str = "") -> None:
        """Dead-letter a message and acknowledge it; where it cannot be kept, it goes back to its queue."""
        if message.acknowledged:
            return
        headers = message.headers if isinstance(message.headers, dict) else {}
        info = message.delivery_info or {}
        try:
            put_aside(
                self.process.runtime(),
                task=task or str(headers.get("task", "")),
                task_id=str(headers.get("id", "")),
                queue=str(info.get("routing_key", "")),
                reason=reason,
                content=message.payload if refusal(message) is None else None,
                kind="message",
            )
        except LedgerError as error:
            log.warning("refused message not kept yet; it goes back", error=str(error))
            message.requeue()
            return
        message.ack_log_error(log, self.connection_errors)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be unpacked (a compressed one among them)."""
        self.refuse(message, refusal(message) or f"its body cannot be decoded ({type(exc).__name__})")

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Something that is not a task."""
        self.refuse(message, "it is not a task message")

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker does not have."""
        self.refuse(message, "this worker has no such task: is it routed to the right queue?")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message with impossible parts."""
        self.refuse(message, f"it is not a valid task message ({type(exc).__name__})")

    def on_ready(self) -> None:
        """Consuming, again or for the first time."""
        super().on_ready()
        self.process.consuming(now=True)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """The broker is gone; Celery connects again by itself."""
        self.process.consuming(now=False)
        super().on_connection_error_after_connected(exc)
