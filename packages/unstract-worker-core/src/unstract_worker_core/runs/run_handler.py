"""The harness of every step on an accepted run: claim it, hold its lease, do the step, carry its verdict out.

Whatever a step raises, the run is either ended with a reason or goes back into the ledger: none is kept, none is lost.
"""

from collections.abc import Callable, Mapping

from attrs import Factory, frozen

from unstract_worker_core.doorbells import read_run_doorbell
from unstract_worker_core.errors import LeaseLost, LedgerUnavailable
from unstract_worker_core.ledger import Armed, RunClaim, RunState, RunTask
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.failure_policy import Waits, definite, hand_over, in_a_line
from unstract_worker_core.runs.session import Arm, Close, HandOver, Turn, Verdict
from unstract_worker_core.worker.delivery import Delivery
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["Job", "answer_bell", "attend"]

log = get_logger(__name__)


@frozen
class Job:
    """What is done with runs of one task.

    Attributes:
        step: the work; may be repeated from its start by another owner.
        give_up: the verdict that ends a run for good, with the reason (one line).
        bounded: whether a run ends after `orchestrate_attempts` charged attempts; else the step counts by itself.
        waits: how long a run rests when it is handed back.
    """

    step: Callable[[Turn], Verdict]
    give_up: Callable[[Turn, str], Verdict]
    bounded: bool = True
    waits: Waits = Factory(Waits)


def answer_bell(runtime: Runtime, delivery: Delivery, jobs: Mapping[RunTask, Job]) -> None:
    """What a doorbell's task does: look at the run that it names. Raises MessageError for what is no doorbell."""
    bell = read_run_doorbell(delivery.kwargs)
    if bell is None:
        log.warning("doorbell of a newer form, left to a worker that knows it")
        return
    attend(runtime, bell.run_id, jobs)


def attend(runtime: Runtime, run_id: str, jobs: Mapping[RunTask, Job]) -> bool:
    """Work on a run if it is ACCEPTED and free. False: there was nothing to do, which is harmless.

    Raises what the step raised, after handing the run back.
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
            _work(Turn(runtime, claim, held), job)
    return True


def _work(turn: Turn, job: Job) -> None:
    try:
        _carry_out(turn, _verdict(turn, job))
    except (LeaseLost, LedgerUnavailable):
        raise  # the run is not ours any more, or cannot be handed back: its lease lapses by itself
    except Exception as error:  # boundary of one attempt: whatever went wrong, the run must go back
        _release(turn.runtime, turn.claim, hand_over(error, attempts=turn.claim.attempts, waits=job.waits))
        raise


def _verdict(turn: Turn, job: Job) -> Verdict:
    attempts, limit = turn.claim.attempts, turn.runtime.settings.ledger.orchestrate_attempts
    if job.bounded and attempts >= limit:
        last = turn.claim.last_error or "its worker died"
        return job.give_up(turn, f"starting failed {attempts} times, last: {last}")
    try:
        return job.step(turn)
    except Exception as error:
        if not definite(error):
            raise
        log.warning("the run ends here", reason=in_a_line(error), kind=type(error).__name__)
        return job.give_up(turn, in_a_line(error))


def _carry_out(turn: Turn, verdict: Verdict) -> None:
    turn.held.check()
    runtime, claim = turn.runtime, turn.claim
    if isinstance(verdict, Arm):
        _ring(runtime, claim, runtime.ledger.runs.arm(claim, verdict.batches, verdict.context), verdict)
    elif isinstance(verdict, Close):
        _close(runtime, claim, verdict)
    else:
        _release(runtime, claim, verdict)


def _ring(runtime: Runtime, claim: RunClaim, armed: Armed, verdict: Arm) -> None:
    log.info("run armed", state=armed.state.value, epoch=armed.epoch, batches=len(verdict.batches))
    if armed.state is RunState.READY:
        runtime.doorbells.ring_callback(claim.run_id)
    elif armed.state is RunState.ARMED:
        batches = range(len(verdict.batches))
        runtime.doorbells.ring_batches(claim.run_id, epoch=armed.epoch, batches=batches, kind=claim.kind)


def _close(runtime: Runtime, claim: RunClaim, verdict: Close) -> None:
    if verdict.letter is not None:
        log.error("run put aside", run_id=claim.run_id, reason=verdict.letter.reason)
        runtime.ledger.dead_letters.add(verdict.letter)
        runtime.metrics.dead_letters.labels(claim.task.value).inc()
    runtime.ledger.runs.finish(
        claim,
        verdict.final,
        recheck_seconds=0,
        tombstone_seconds=runtime.settings.ledger.tombstone_seconds,
        state=RunState.ACCEPTED,
    )


def _release(runtime: Runtime, claim: RunClaim, over: HandOver) -> None:
    log.warning("run handed back", reason=over.reason, seconds=over.delay_seconds, charged=over.charge)
    runtime.ledger.runs.release(claim, delay_seconds=over.delay_seconds, charge=over.charge, reason=over.reason)
