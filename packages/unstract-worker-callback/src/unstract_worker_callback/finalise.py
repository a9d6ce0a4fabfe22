"""Finalising a READY run: aggregate, decide, write the result once, tell who wants to know, close.

Every step may be repeated: a claim that crashed anywhere is taken up by the next one, which finds in the backend and
in the journal what was already done.
"""

import structlog
from attrs import frozen

from unstract_worker_callback.chord import chord_run
from unstract_worker_callback.notify import notify
from unstract_worker_callback.settle import existing_terminal, settle
from unstract_worker_callback.steps import ATTEMPTS, Run, clean_up, close, update_pipeline, write_results
from unstract_worker_callback.verdict import Totals, count, final_state, totals_before
from unstract_worker_core.backend.models import Execution
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    LeaseLost,
    LedgerUnavailable,
    MessageError,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
    WorkerError,
)
from unstract_worker_core.ledger import DeadLetter, FinalState, Held, RunClaim, RunContext, RunState, RunTask
from unstract_worker_core.observability.logs import bind_task
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["finalise_run"]

# The backend does not take our key: that says nothing about the run, and asking again at once changes nothing.
_LOCKED_OUT = (401, 403)
_LOCKED_OUT_SECONDS = 30.0
_log = structlog.get_logger(__name__)


def finalise_run(runtime: Runtime, run_id: str) -> bool:
    """Finalise a run if it is READY and nobody else does. False: there was nothing to do here.

    Raises nothing that another claim could not meet as well: the run is handed back with a delay.
    """
    claim = runtime.ledger.runs.claim(run_id, runtime.token(), state=RunState.READY)
    if claim is None:
        _log.info("callback doorbell without work", run_id=run_id)
        return False
    runtime.metrics.attempts.labels("callback", "yes" if claim.attempts else "no").inc()
    execution_id = run_id.removesuffix(".callback")
    ids = bind_task(execution_id=execution_id, organization_id=claim.organization_id or None)
    traced = runtime.traces.span(execution_id, "callback", attempt=claim.attempts + 1)
    with ids, traced, runtime.keeper.run(claim) as held:
        try:
            _finalise(runtime, claim, held)
        except (BackendUnavailable, OutcomeUnknown) as error:
            _hand_back(runtime, claim, error, charge=_lasting(error))
        except LeaseLost:
            raise
        except LedgerUnavailable as error:  # the platform's Redis, or the ledger's: then this raises, too
            _hand_back(runtime, claim, error, charge=False)
        except (BackendRefused, UnexpectedAnswer) as error:
            _hand_back(runtime, claim, error, charge=error.status not in _LOCKED_OUT)
        except Exception as error:  # noqa: BLE001 - boundary of one attempt: charged, so that the run ends visibly
            _log.exception("finalising failed", run_id=run_id)
            _hand_back(runtime, claim, error, charge=True)
    return True


def _hand_back(runtime: Runtime, claim: RunClaim, error: Exception, *, charge: bool) -> None:
    if charge:
        delay = min(5.0 * 2**claim.attempts, 300.0)
    else:
        rest = _LOCKED_OUT_SECONDS if isinstance(error, BackendRefused) else 1.0
        delay = max(rest, runtime.backend.seconds_until_trial())
    reason = str(error) if isinstance(error, WorkerError) else type(error).__name__
    _log.warning("finalising is put off", run_id=claim.run_id, reason=reason, seconds=delay, charged=charge)
    runtime.ledger.runs.release(claim, delay_seconds=delay, charge=charge, reason=reason)


def _finalise(runtime: Runtime, claim: RunClaim, held: Held) -> None:
    if claim.task is RunTask.CHORD_BATCH:  # its own message, acknowledged late, finishes it
        runtime.ledger.runs.release(claim)
        return
    try:
        loaded = _load(runtime, claim)
        execution = runtime.backend.executions.get(loaded.context.organization_id, loaded.context.execution_id)
    except NotFound as error:
        _give_up(runtime, claim, str(error))
        return
    except (BackendRefused, MessageError) as error:  # another organization's, or nothing to read it by
        if claim.attempts < ATTEMPTS or getattr(error, "status", None) in _LOCKED_OUT:
            raise
        _give_up(runtime, claim, str(error))
        return
    run = Run(runtime, claim, held, loaded.context, loaded.totals)
    final = _verdict(run, execution)
    stands = existing_terminal(final, execution)
    if stands is None:
        write_results(run)
        held.check()
        stands = settle(runtime.backend, run.context.organization_id, run.context.execution_id, final, run.key)
    try:
        _follow_up(run, stands)
    except (BackendUnavailable, OutcomeUnknown) as error:
        if not (run.last_try and _lasting(error)):
            raise
        _log.error("the status stands, but not everybody could be told", reason=str(error))
    close(run, stands)


def _follow_up(run: Run, stands: FinalState) -> None:
    """What comes after the status; each part is done once."""
    update_pipeline(run, stands)
    clean_up(run)
    notify(run.runtime.backend, run.runtime.ledger.runs, run.claim, run.held, run.context, stands)


def _lasting(error: BackendError) -> bool:
    """A backend that answers 500 again and again is not unreachable."""
    return error.status == 500


@frozen
class _Loaded:
    context: RunContext
    totals: Totals


def _load(runtime: Runtime, claim: RunClaim) -> _Loaded:
    if claim.task is RunTask.CHORD_CALLBACK or claim.context is None:
        context, totals = chord_run(runtime.backend, claim)
        return _Loaded(context, totals)
    try:
        outcomes = runtime.ledger.runs.outcomes(claim.run_id)
        return _Loaded(claim.context, count(outcomes, before=totals_before(claim.context)))
    except MessageError:  # a record that nobody can read: the reason for ERROR at the last try
        if claim.attempts < ATTEMPTS:
            raise
        return _Loaded(claim.context, Totals())


def _verdict(run: Run, execution: Execution) -> FinalState:
    final = final_state(
        run.totals,
        run.context,
        expected=run.context.total_files,
        stopped=run.claim.stop or execution.status is ExecutionStatus.STOPPED,
    )
    if not run.last_try or final.status is ExecutionStatus.STOPPED:
        return final
    reason = f"finalising failed {run.claim.attempts} times: {run.claim.last_error or 'its worker died'}"
    return FinalState(ExecutionStatus.ERROR, final.total_files, final.successful_files, final.failed_files, reason)


def _give_up(runtime: Runtime, claim: RunClaim, reason: str) -> None:
    """The backend does not know the execution: nothing can be written. Visible in the dead letters."""
    queue = DOORBELL_QUEUES[Doorbell.CALLBACK]
    letter = DeadLetter("finalise", queue, f"execution {claim.run_id} cannot be finalised: {reason}", claim.run_id)
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind="execution").inc()
    ledger = runtime.settings.ledger
    runtime.ledger.runs.finish(claim, FinalState(), recheck_seconds=0, tombstone_seconds=ledger.tombstone_seconds)
