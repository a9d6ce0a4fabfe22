"""Delivering one webhook: post it, count what failed, tell the backend how it ended (contract: tasks 6.3).

At least once: a worker that dies between the post and its note posts again, with the same `webhook-id`. Neither the
URL nor a header is ever part of a reason, a log line or a dead letter: both may carry credentials.

A URL that is refused for what it says ends at once. A host whose addresses are refused has failed one try: DNS may
answer otherwise next time. Standing in line for a busy host is no try.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.failpoints import hit
from unstract_worker_core.ledger import DeadLetter, FinalState
from unstract_worker_core.messages import WebhookMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs import Close, Decision, Release, RunSession
from unstract_worker_general.egress import Egress
from unstract_worker_general.marking import mark
from unstract_worker_general.per_host import Limits
from unstract_worker_general.posting import Failure, post
from unstract_worker_general.resolving import LookupsBusy
from unstract_worker_general.targets import Refused, Target, read_target

__all__ = ["RUN_PREFIX", "Tries", "deliver", "delivery_id", "give_up_delivery"]

RUN_PREFIX = "webhook."
_LOOKUPS_BUSY_SECONDS = 5.0

log = get_logger(__name__)


@frozen
class Tries:
    """How often a delivery was tried: posts that failed, and claims that ended without saying how."""

    failed: int
    lapsed: int

    @classmethod
    def of(cls, session: RunSession) -> "Tries":
        """Read from the run: each failed post is journalled and charged, a worker's death is charged only."""
        failed = sum(1 for name in session.claim.journal if name.startswith("failed:"))
        return cls(failed, max(0, session.claim.attempts - failed))


def delivery_id(run_id: str) -> str:
    """What a receiver can tell repetitions by; the same for every try."""
    return run_id.removeprefix(RUN_PREFIX)


def deliver(session: RunSession, egress: Egress, turned_away: Callable[[str], None]) -> Decision:
    """From an accepted webhook message to a delivery or a dead letter, or to another try later.

    `turned_away` is told the host for which there is no place.
    """
    message = serialization.decode(session.claim.start, WebhookMessage)
    settings, tries = session.runtime.settings, Tries.of(session)
    if session.journal_get("delivered") is not None:
        return _delivered(session, message, tries)
    if tries.failed >= _allowed(session, message) or tries.lapsed >= settings.webhook.attempts:
        return _dead(session, message, tries, session.claim.last_error or "the worker died while it was sent")
    try:
        target = read_target(message.url)
    except Refused as refusal:
        return _failed(session, message, tries, Failure(str(refusal), attempts=1))

    with egress.places.place(target.host, session.claim.run_id, Limits.of(settings)) as taken:
        if taken:
            return _try(session, egress, message, target, tries)
    turned_away(target.host)
    return _waiting(session, "enough deliveries to this host are under way", egress.places.wait_seconds())


def give_up_delivery(session: RunSession, reason: str) -> Decision:
    """End a delivery whose message cannot be read."""
    session.runtime.metrics.webhook_deliveries.labels("dead").inc()
    letter = DeadLetter("send_webhook_notification", "", reason, session.claim.run_id)
    return Close(FinalState(error=reason, detail={"delivery": "dead"}), letter)


def _try(session: RunSession, egress: Egress, message: WebhookMessage, target: Target, tries: Tries) -> Decision:
    session.check()
    hit("webhook.post.before")
    try:
        failure = post(message, target, delivery_id(session.claim.run_id), session.runtime.settings.webhook, egress)
    except LookupsBusy as error:
        return _waiting(session, str(error), _LOOKUPS_BUSY_SECONDS)
    hit("webhook.post.after")
    if failure is not None:
        return _failed(session, message, tries, failure)
    session.journal_put("delivered", datetime.now(UTC).isoformat())
    return _delivered(session, message, tries)


def _allowed(session: RunSession, message: WebhookMessage) -> int:
    return min(message.max_retries + 1, session.runtime.settings.webhook.attempts)


def _waiting(session: RunSession, reason: str, seconds: float) -> Decision:
    session.runtime.metrics.webhook_deliveries.labels("waiting").inc()
    return Release(reason, seconds)


def _delivered(session: RunSession, message: WebhookMessage, tries: Tries) -> Decision:
    mark(session.runtime, message, dead=False)
    session.runtime.metrics.webhook_deliveries.labels("delivered").inc()
    log.info("webhook delivered", webhook_id=delivery_id(session.claim.run_id), failed_before=tries.failed)
    return Close(FinalState(detail={"delivery": "delivered", "attempts": tries.failed + 1}))


def _failed(session: RunSession, message: WebhookMessage, tries: Tries, failure: Failure) -> Decision:
    session.journal_put(f"failed:{tries.failed + 1}", failure.reason)
    tries = Tries(tries.failed + 1, tries.lapsed)
    allowed = _allowed(session, message)
    if tries.failed >= (allowed if failure.attempts is None else min(failure.attempts, allowed)):
        return _dead(session, message, tries, failure.reason)
    session.runtime.metrics.webhook_deliveries.labels("retry").inc()
    delay = message.retry_delay if failure.wait is None else failure.wait
    return Release(failure.reason, delay, charge=True)


def _dead(session: RunSession, message: WebhookMessage, tries: Tries, reason: str) -> Decision:
    mark(session.runtime, message, dead=True)
    session.runtime.metrics.webhook_deliveries.labels("dead").inc()
    told = f"not delivered in {tries.failed + tries.lapsed} tries, last: {reason}"
    rows = ",".join(message.buffer_row_ids)
    body = f"rows: {rows}" if rows else ""
    letter = DeadLetter("send_webhook_notification", "", told, session.claim.run_id, body=body)
    detail = {"delivery": "dead", "attempts": tries.failed + tries.lapsed}
    return Close(FinalState(error=told, detail=detail), letter)
