"""Delivering one webhook: post it, count what failed, tell the backend how it ended (contract: tasks 6.3).

At least once: a worker that dies between the post and its note posts again, with the same `webhook-id`. Neither the
URL nor a header is ever part of a reason, a log line or a dead letter: both may carry credentials.
"""

from datetime import UTC, datetime

from attrs import frozen

from unstract_worker_core import wire
from unstract_worker_core.errors import BackendError, MessageError
from unstract_worker_core.ledger import DeadLetter, FinalState
from unstract_worker_core.logs import get_logger
from unstract_worker_core.messages import WebhookMessage
from unstract_worker_core.orchestration import Close, HandOver, Turn, Verdict, in_a_line
from unstract_worker_general.posting import post

__all__ = ["RUN_PREFIX", "Tries", "deliver", "delivery_id", "give_up_delivery"]

RUN_PREFIX = "webhook."

log = get_logger(__name__)


@frozen
class Tries:
    """How often a delivery was tried: posts that failed, and claims that ended without saying how."""

    failed: int
    lapsed: int

    @classmethod
    def of(cls, turn: Turn) -> "Tries":
        """Read from the run: each failed post is journalled and charged, a worker's death is charged only."""
        failed = sum(1 for name in turn.claim.journal if name.startswith("failed:"))
        return cls(failed, max(0, turn.claim.attempts - failed))


def delivery_id(run_id: str) -> str:
    """What a receiver can tell repetitions by; the same for every try."""
    return run_id.removeprefix(RUN_PREFIX)


def deliver(turn: Turn) -> Verdict:
    """From an accepted webhook message to a delivery or a dead letter, or to another try later."""
    message = wire.decode(turn.claim.start, WebhookMessage)
    settings, tries = turn.runtime.settings.webhook, Tries.of(turn)
    allowed = min(message.max_retries + 1, settings.attempts)
    if turn.noted("delivered") is not None:
        return _delivered(turn, message, tries)
    if tries.failed >= allowed or tries.lapsed >= settings.attempts:
        return _dead(turn, message, tries, turn.claim.last_error or "the worker died while it was sent")
    turn.check()
    failure = post(message, delivery_id(turn.claim.run_id), settings)
    if failure is None:
        turn.note("delivered", datetime.now(UTC).isoformat())
        return _delivered(turn, message, tries)
    turn.note(f"failed:{tries.failed + 1}", failure)
    tries = Tries(tries.failed + 1, tries.lapsed)
    if tries.failed >= allowed:
        return _dead(turn, message, tries, failure)
    turn.runtime.metrics.webhook_deliveries.labels("retry").inc()
    return HandOver(failure, message.retry_delay, charge=True)


def give_up_delivery(turn: Turn, reason: str) -> Verdict:
    """End a delivery whose message cannot be read."""
    turn.runtime.metrics.webhook_deliveries.labels("dead").inc()
    letter = DeadLetter("send_webhook_notification", "", reason, turn.claim.run_id)
    return Close(FinalState(error=reason, detail={"delivery": "dead"}), letter)


def _delivered(turn: Turn, message: WebhookMessage, tries: Tries) -> Verdict:
    _mark(turn, message, dead=False)
    turn.runtime.metrics.webhook_deliveries.labels("delivered").inc()
    log.info("webhook delivered", webhook_id=delivery_id(turn.claim.run_id), failed_before=tries.failed)
    return Close(FinalState(detail={"delivery": "delivered", "attempts": tries.failed + 1}))


def _dead(turn: Turn, message: WebhookMessage, tries: Tries, reason: str) -> Verdict:
    _mark(turn, message, dead=True)
    turn.runtime.metrics.webhook_deliveries.labels("dead").inc()
    told = f"not delivered in {tries.failed + tries.lapsed} tries, last: {reason}"
    rows = ",".join(message.buffer_row_ids)
    letter = DeadLetter("send_webhook_notification", "", told, turn.claim.run_id, body=f"rows: {rows}" if rows else "")
    detail = {"delivery": "dead", "attempts": tries.failed + tries.lapsed}
    return Close(FinalState(error=told, detail=detail), letter)


def _mark(turn: Turn, message: WebhookMessage, *, dead: bool) -> None:
    """Tell the backend about its buffered rows; best effort, its own lease on them is the net below."""
    if not message.buffer_row_ids or message.organization_id is None:
        return
    notifications = turn.runtime.backend.notifications
    mark = notifications.mark_dead_letter if dead else notifications.mark_dispatched
    try:
        mark(int(message.organization_id), message.buffer_row_ids)
    except (BackendError, MessageError) as error:
        log.warning("buffered rows were not marked", dead=dead, reason=in_a_line(error))
    except ValueError:
        log.warning("buffered rows were not marked", dead=dead, reason="organization_id is not a primary key")
