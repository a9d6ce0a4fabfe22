"""One webhook, from its message to a delivery or a dead letter (contract: tasks 6.3).

At least once: after a crash between the post and its journal entry it is posted again, with the same `webhook-id`.
Reasons, log lines and dead letters never contain the URL or a header: both may carry credentials.

A URL that is refused ends the delivery at once. A host whose addresses are refused counts as one failed attempt: DNS
may answer differently next time. Waiting for a busy host is no attempt.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.errors import BackendError, MessageError
from unstract_worker_core.failpoints import hit
from unstract_worker_core.identifiers import opaque_id
from unstract_worker_core.ledger import DeadLetter, FinalState, RunTask
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import reason_of
from unstract_worker_core.runs.run_handler import Job, accept_run, retry_until_accepted
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.runs.session import Close, Decision, Release, RunSession
from unstract_worker_core.statuses import RunKind
from unstract_worker_core.worker.rejected_messages import dead_letter
from unstract_worker_general.webhooks.addresses import AddressRefused, LookupsBusy, Target, read_target
from unstract_worker_general.webhooks.client import Failure, HostLimits, WebhookClient
from unstract_worker_general.webhooks.message import WebhookMessage, read_webhook

_TASK = "send_webhook_notification"
_RUN_PREFIX = "webhook."
_LOOKUPS_BUSY_SECONDS = 5.0
_ROW_FIELDS = ("buffer_row_ids", "organization_id")

log = get_logger(__name__)


def accept_webhook(runtime: Runtime, delivery: Delivery) -> None:
    """Accept a webhook under its message's id.

    A message that cannot be read becomes a dead letter here. The task's boundary would keep its arguments in the dead
    letter, and any of them may be a URL or a header with a credential.
    """
    try:
        message = read_webhook(delivery.args, delivery.kwargs)
        run_id = _RUN_PREFIX + opaque_id(delivery.task_id, field="task_id")
    except MessageError as error:
        _reject(runtime, delivery, str(error))
    else:
        accept_run(runtime, run_id, task=RunTask.WEBHOOK, organization_id="", message=message)


@contextmanager
def webhook_jobs(runtime: Runtime, client: WebhookClient) -> Iterator[Mapping[RunTask, Job]]:
    """The jobs for one doorbell. When the block is left, its run is queued in the limiter if its host was busy.

    Afterwards it rings for a waiting run that may be delivered now: this delivery may have freed a slot, or it was
    itself called from the queue and another worker had claimed it.
    """
    busy: list[tuple[str, str]] = []

    def step(session: RunSession) -> Decision:
        return _deliver(session, client, busy)

    try:
        yield {RunTask.WEBHOOK: Job(step, _give_up, bounded=False)}
        for host, run_id in busy:
            client.limiter.enqueue(host, run_id)
    finally:
        waiting = client.limiter.next_waiting(HostLimits.of(runtime.settings))
        if waiting is not None:
            runtime.doorbells.ring_start(waiting, task=RunTask.WEBHOOK, kind=RunKind.ETL)


@frozen
class _Attempts:
    """Attempts of a delivery: failed posts, and claims whose worker died before it recorded a result."""

    failed: int
    lapsed: int

    @classmethod
    def of(cls, session: RunSession) -> "_Attempts":
        """Count them: a failed post is journalled and charged, a worker's death is charged only."""
        failed = sum(1 for name in session.claim.journal if name.startswith("failed:"))
        return cls(failed, max(0, session.claim.attempts - failed))


def _deliver(session: RunSession, client: WebhookClient, busy: list[tuple[str, str]]) -> Decision:
    """One attempt. If the host takes no other delivery now, it is added to `busy` with the run."""
    message = serialization.decode(session.claim.start, WebhookMessage)
    settings, attempts = session.runtime.settings, _Attempts.of(session)
    if session.journal_get("delivered") is not None:
        return _delivered(session, message, attempts)
    if attempts.failed >= _allowed(session, message) or attempts.lapsed >= settings.webhook.attempts:
        return _dead(session, message, attempts, session.claim.last_error or "the worker died while it was sent")
    try:
        target = read_target(message.url)
    except AddressRefused as refusal:
        return _failed(session, message, attempts, Failure(str(refusal), attempts=1))

    with client.limiter.acquire(target.host, session.claim.run_id, HostLimits.of(settings)) as allowed:
        if allowed:
            return _post(session, client, message, target, attempts)
    busy.append((target.host, session.claim.run_id))
    return _waiting(session, "enough deliveries to this host are under way", client.limiter.wait_seconds())


def _post(
    session: RunSession, client: WebhookClient, message: WebhookMessage, target: Target, attempts: _Attempts
) -> Decision:
    session.check()
    hit("webhook.post.before")
    try:
        failure = client.post(message, target, _webhook_id(session), session.runtime.settings.webhook)
    except LookupsBusy as error:
        return _waiting(session, str(error), _LOOKUPS_BUSY_SECONDS)
    hit("webhook.post.after")
    if failure is not None:
        return _failed(session, message, attempts, failure)
    session.journal_put("delivered", datetime.now(UTC).isoformat())
    return _delivered(session, message, attempts)


def _webhook_id(session: RunSession) -> str:
    """The id by which a receiver recognises repetitions; the same for every attempt."""
    return session.claim.run_id.removeprefix(_RUN_PREFIX)


def _allowed(session: RunSession, message: WebhookMessage) -> int:
    return min(message.max_retries + 1, session.runtime.settings.webhook.attempts)


def _waiting(session: RunSession, reason: str, seconds: float) -> Decision:
    session.runtime.metrics.webhook_deliveries.labels("waiting").inc()
    return Release(reason, seconds)


def _delivered(session: RunSession, message: WebhookMessage, attempts: _Attempts) -> Decision:
    _mark_rows(session.runtime, message, dead=False)
    session.runtime.metrics.webhook_deliveries.labels("delivered").inc()
    log.info("webhook delivered", webhook_id=_webhook_id(session), failed_before=attempts.failed)
    return Close(FinalState(detail={"delivery": "delivered", "attempts": attempts.failed + 1}))


def _failed(session: RunSession, message: WebhookMessage, attempts: _Attempts, failure: Failure) -> Decision:
    session.journal_put(f"failed:{attempts.failed + 1}", failure.reason)
    attempts = _Attempts(attempts.failed + 1, attempts.lapsed)
    allowed = _allowed(session, message)
    if attempts.failed >= (allowed if failure.attempts is None else min(failure.attempts, allowed)):
        return _dead(session, message, attempts, failure.reason)
    session.runtime.metrics.webhook_deliveries.labels("retry").inc()
    delay = message.retry_delay if failure.wait is None else failure.wait
    return Release(failure.reason, delay, charge=True)


def _dead(session: RunSession, message: WebhookMessage, attempts: _Attempts, reason: str) -> Decision:
    _mark_rows(session.runtime, message, dead=True)
    session.runtime.metrics.webhook_deliveries.labels("dead").inc()
    count = attempts.failed + attempts.lapsed
    error = f"not delivered in {count} tries, last: {reason}"
    body = f"rows: {','.join(message.buffer_row_ids)}" if message.buffer_row_ids else ""
    letter = DeadLetter(_TASK, "", error, session.claim.run_id, body=body)
    return Close(FinalState(error=error, detail={"delivery": "dead", "attempts": count}), letter)


def _give_up(session: RunSession, reason: str) -> Decision:
    session.runtime.metrics.webhook_deliveries.labels("dead").inc()
    letter = DeadLetter(_TASK, "", reason, session.claim.run_id)
    return Close(FinalState(error=reason, detail={"delivery": "dead"}), letter)


def _reject(runtime: Runtime, delivery: Delivery, reason: str) -> None:
    def keep() -> None:
        task, queue = delivery.task, delivery.queue
        dead_letter(runtime, task=task, task_id=delivery.task_id, queue=queue, reason=reason, content=None)

    retry_until_accepted(runtime, keep)
    runtime.metrics.webhook_deliveries.labels("dead").inc()
    rows = {name: delivery.kwargs[name] for name in _ROW_FIELDS if name in delivery.kwargs}
    with suppress(MessageError):  # the rows cannot be read either
        _mark_rows(runtime, read_webhook(("http://unread", "unread"), rows), dead=True)


def _mark_rows(runtime: Runtime, message: WebhookMessage, *, dead: bool) -> None:
    """Report the end of the delivery to the backend, for its buffered rows. Best effort: its lease on them expires."""
    if not message.buffer_row_ids or message.organization_id is None:
        return
    notifications = runtime.backend.notifications
    mark = notifications.mark_dead_letter if dead else notifications.mark_dispatched
    try:
        mark(int(message.organization_id), message.buffer_row_ids)
    except (BackendError, MessageError) as error:
        log.warning("buffered rows were not marked", dead=dead, reason=reason_of(error))
    except ValueError:
        log.warning("buffered rows were not marked", dead=dead, reason="organization_id is not a primary key")
