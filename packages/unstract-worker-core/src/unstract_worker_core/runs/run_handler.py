"""Handles an accepted run: claims it, holds its lease, calls the step, and applies the step's decision.

Whatever a step raises, the run either ends with a reason or goes back to the ledger.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from attrs import Factory, frozen
from celery.exceptions import Reject

from unstract_worker_core import serialization
from unstract_worker_core.doorbells import read_run_doorbell
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.ledger import Accepted, RunClaim, RunState, RunTask
from unstract_worker_core.messages.start import read_start
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.failure_policy import (
    ErrorKind,
    Place,
    Reaction,
    RetryDelays,
    is_permanent,
    kind_of,
    reaction_to,
    reason_of,
    release_after,
)
from unstract_worker_core.runs.files_in_use import release_marks
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.runs.session import Arm, Close, Decision, Release, RunSession
from unstract_worker_core.statuses import RunKind

# Pause between two attempts to write into a ledger that is away.
_ACCEPT_PAUSE_SECONDS = 1.0
T = TypeVar("T")

log = get_logger(__name__)


def retry_until_accepted(runtime: Runtime, step: Callable[[], T]) -> T:
    """Run the step that writes a message into the ledger until it succeeds, however long Redis is away.

    For tasks added with ``late=True``: their message is acknowledged only once this returned. While the process
    drains the message goes back to the broker (Celery's Reject).
    """
    while True:
        try:
            return step()
        except LedgerUnavailable as error:
            log.warning("message not written into the ledger yet", error=str(error))
            if runtime.draining.wait(_ACCEPT_PAUSE_SECONDS):
                raise Reject("the process drains and the ledger is away", requeue=True) from None


def accept_start(runtime: Runtime, delivery: Delivery, kind: RunKind) -> None:
    """Accept `async_execute_bin`: write it into the ledger, then ring. A repeated message changes nothing.

    Raises:
        MessageError: it cannot be read.
        Reject: the process drains while the ledger is away; the message goes back to its queue.
    """
    message = read_start(delivery.args, delivery.kwargs, kind=kind)
    run_id, organization = message.execution_id, message.organization_id
    with bind_task(execution_id=run_id, organization_id=organization):
        accept_run(runtime, run_id, task=RunTask.EXECUTION, kind=kind, organization_id=organization, message=message)


def accept_run(
    runtime: Runtime, run_id: str, *, task: RunTask, kind: RunKind = RunKind.ETL, organization_id: str, message: object
) -> None:
    """Accept a message. Arguments as of `put_run`.

    Raises:
        Reject: the process drains while the ledger is away; the message goes back to its queue.
    """
    put = partial(put_run, runtime, run_id, task=task, kind=kind, organization_id=organization_id, message=message)
    accepted = retry_until_accepted(runtime, put)
    if accepted.state is RunState.ACCEPTED:
        runtime.doorbells.ring_start(run_id, task=task, kind=kind)
    log.info("message accepted", run_id=run_id, fresh=accepted.fresh, state=accepted.state.value)


def put_run(
    runtime: Runtime, run_id: str, *, task: RunTask, kind: RunKind, organization_id: str, message: object
) -> Accepted:
    """Write a message into the ledger. Raises LedgerError.

    Args:
        run_id: the execution, or made from the message, so that a repeated message has the same.
        message: an attrs object that is kept as JSON.
    """
    start = serialization.encode(message)
    accepted = runtime.ledger.runs.accept(run_id, task=task, kind=kind, organization_id=organization_id, start=start)
    if accepted.fresh:  # a trace has one root, however often its message comes
        runtime.traces.accepted(run_id, task)
    return accepted


@frozen
class Job:
    """What is done with runs of one task.

    Attributes:
        step: the work; may be repeated from its start by another owner.
        give_up: the decision that ends a run for good, with the reason (one line).
        bounded: whether a run ends after `orchestrate_attempts` charged attempts; else the step counts by itself.
        delays: how long a run rests when it is put off.
    """

    step: Callable[[RunSession], Decision]
    give_up: Callable[[RunSession, str], Decision]
    bounded: bool = True
    delays: RetryDelays = Factory(RetryDelays)


def handle_doorbell(runtime: Runtime, delivery: Delivery, jobs: Mapping[RunTask, Job]) -> None:
    """What a doorbell's task does: look at the run that it names. Raises MessageError for what is no doorbell."""
    bell = read_run_doorbell(delivery.kwargs)
    if bell is None:
        log.warning("doorbell of a newer format ignored")
        return
    handle_run(runtime, bell.run_id, jobs)


def handle_run(runtime: Runtime, run_id: str, jobs: Mapping[RunTask, Job]) -> bool:
    """Work on a run if it is ACCEPTED and free.

    Returns:
        False: there was nothing to do, which is harmless.

    Raises:
        Exception: what the step raised, after the run was given back to the ledger.
    """
    claim = runtime.ledger.runs.claim(run_id, runtime.token(), state=RunState.ACCEPTED)
    if claim is None:
        log.info("doorbell without work", run_id=run_id)
        return False
    runtime.progress.claim_made()
    runtime.metrics.attempts.labels(claim.task, "yes" if claim.attempts else "no").inc()
    execution = run_id if claim.task is RunTask.EXECUTION else None
    with bind_task(execution_id=execution, organization_id=claim.organization_id or None):
        job = jobs.get(claim.task)
        if job is None:
            log.warning("doorbell for another worker", run_id=run_id, run_task=claim.task.value)
            runtime.ledger.runs.release(claim, reason="rung at the wrong worker")
            return False
        with runtime.traces.span(run_id, claim.task, attempt=claim.attempts + 1), runtime.keeper.run(claim) as held:
            _work(RunSession(runtime, claim, held), job)
    return True


def _work(session: RunSession, job: Job) -> None:
    try:
        _carry_out(session, _decide(session, job))
    except Exception as error:  # boundary of one attempt: whatever went wrong, the run must go back
        if reaction_to(error, Place.START) is not Reaction.LEAVE:
            release_run(session, error, Place.START, job.delays)
        raise


def _decide(session: RunSession, job: Job) -> Decision:
    attempts, limit = session.claim.attempts, session.runtime.settings.ledger.orchestrate_attempts
    if job.bounded and attempts >= limit:
        last = session.claim.last_error or "its worker died"
        return job.give_up(session, f"starting failed {attempts} times, last: {last}")
    try:
        return job.step(session)
    except Exception as error:
        if not is_permanent(error):
            raise
        log.warning("the run ends with an error", reason=reason_of(error), kind=type(error).__name__)
        return job.give_up(session, reason_of(error))


def _carry_out(session: RunSession, decision: Decision) -> None:
    session.held.check()
    if isinstance(decision, Arm):
        _arm(session.runtime, session.claim, decision)
    elif isinstance(decision, Close):
        release_marks(session)
        _close(session.runtime, session.claim, decision)
    else:
        _release(session, decision)


def _arm(runtime: Runtime, claim: RunClaim, decision: Arm) -> None:
    armed = runtime.ledger.runs.arm(claim, decision.batches, decision.context)
    if armed.state is RunState.READY:
        runtime.doorbells.ring_callback(claim.run_id)
    elif armed.state is RunState.ARMED:
        batches = range(len(decision.batches))
        runtime.doorbells.ring_batches(claim.run_id, epoch=armed.epoch, batches=batches, kind=claim.kind)
    log.info("run armed", state=armed.state.value, epoch=armed.epoch, batches=len(decision.batches))


def _close(runtime: Runtime, claim: RunClaim, decision: Close) -> None:
    if decision.dead_letter is not None:
        log.error("run closed as a dead letter", run_id=claim.run_id, reason=decision.dead_letter.reason)
        runtime.ledger.dead_letters.add(decision.dead_letter)
        runtime.metrics.dead_letters.labels(claim.task.value).inc()
    kept = runtime.settings.ledger.tombstone_seconds
    runtime.ledger.runs.finish(
        claim, decision.final, recheck_seconds=0, tombstone_seconds=kept, state=RunState.ACCEPTED
    )


def release_run(session: RunSession, error: Exception, place: Place, delays: RetryDelays) -> Release:
    """Give a run back to the ledger after an error that does not end it. Raises LedgerError where that fails."""
    attempts, seconds = session.claim.attempts, session.runtime.backend.breaker.seconds_until_trial()
    release = release_after(error, place, attempts=attempts, delays=delays, breaker_seconds=seconds)
    _release(session, release, error)
    return release


def _release(session: RunSession, release: Release, error: Exception | None = None) -> None:
    report = log.error if error is not None and kind_of(error) is ErrorKind.KEY_REFUSED else log.warning
    report("run put off", reason=release.reason, seconds=round(release.delay_seconds, 1), charged=release.charge)
    session.runtime.ledger.runs.release(
        session.claim, delay_seconds=release.delay_seconds, charge=release.charge, reason=release.reason
    )
