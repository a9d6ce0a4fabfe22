"""Finalising a READY run: aggregate, decide, write the result once, tell who wants to know, close.

Every step may be repeated: a claim that crashed anywhere is taken up by the next one, which finds in the backend and
in the journal what was already done.
"""

import structlog
from attrs import frozen

from unstract_worker_callback.chord import chord_run
from unstract_worker_callback.notify import notify
from unstract_worker_callback.settle import settled_by, write_final
from unstract_worker_callback.verdict import Totals, count, decide
from unstract_worker_core.api_results import ApiResults
from unstract_worker_core.app.runtime import Runtime
from unstract_worker_core.client.models import Execution, PipelineUpdate
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    LeaseLost,
    LedgerUnavailable,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
)
from unstract_worker_core.ledger import (
    DeadLetter,
    FinalState,
    Held,
    RunClaim,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.log_events import LogEvent
from unstract_worker_core.messages import result_items
from unstract_worker_core.statuses import ExecutionStatus, RunKind, pipeline_status_for

__all__ = ["finalise_run"]

# Claims that failed for another reason than an unreachable backend or Redis, before the run is ended in ERROR.
_ATTEMPTS = 5
_log = structlog.get_logger(__name__)


@frozen
class _Run:
    """One claimed run while it is finalised."""

    runtime: Runtime
    claim: RunClaim
    held: Held
    context: RunContext
    totals: Totals

    @property
    def key(self) -> str:
        return f"{self.context.execution_id}:{self.claim.epoch}:final"


def finalise_run(runtime: Runtime, run_id: str) -> bool:
    """Finalise a run if it is READY and nobody else does. False: there was nothing to do here.

    Raises nothing that another claim could not meet as well: the run is handed back with a delay.
    """
    claim = runtime.ledger.runs.claim(run_id, runtime.token(), state=RunState.READY)
    if claim is None:
        _log.info("callback doorbell without work", run_id=run_id)
        return False
    with runtime.keeper.run(claim) as held:
        try:
            _finalise(runtime, claim, held)
        except (BackendUnavailable, OutcomeUnknown) as error:
            # A backend that answers 500 again and again is not unreachable.
            _hand_back(runtime, claim, error, charge=error.status == 500)
        except (LeaseLost, LedgerUnavailable):
            raise
        except (BackendRefused, UnexpectedAnswer) as error:
            _hand_back(runtime, claim, error, charge=True)
        except Exception as error:  # noqa: BLE001 - boundary of one attempt: charged, so that the run ends visibly
            _log.exception("finalising failed", run_id=run_id)
            _hand_back(runtime, claim, error, charge=True)
    return True


def _hand_back(runtime: Runtime, claim: RunClaim, error: Exception, *, charge: bool) -> None:
    delay = min(5.0 * 2**claim.attempts, 300.0) if charge else max(1.0, runtime.backend.seconds_until_trial())
    reason = str(error) if isinstance(error, BackendError) else type(error).__name__
    _log.warning("finalising is put off", run_id=claim.run_id, reason=reason, seconds=delay, charged=charge)
    runtime.ledger.runs.release(claim, delay_seconds=delay, charge=charge, reason=reason)


def _finalise(runtime: Runtime, claim: RunClaim, held: Held) -> None:
    if claim.task is RunTask.CHORD_BATCH:  # its own message, acknowledged late, finishes it
        runtime.ledger.runs.release(claim)
        return
    loaded = _load(runtime, claim)
    try:
        execution = runtime.backend.executions.get(loaded.context.organization_id, loaded.context.execution_id)
    except NotFound as error:
        _give_up(runtime, claim, str(error))
        return
    run = _Run(runtime, claim, held, loaded.context, loaded.totals)
    final = _verdict(run, execution)
    stands = settled_by(final, execution)
    if stands is None:
        _write_results(run)
        held.check()
        stands = _write_status(run, final)
    _update_pipeline(run, stands)
    _clean_up(run)
    notify(runtime.backend, runtime.ledger.runs, claim, held, run.context, stands)
    _close(run, stands)


@frozen
class _Loaded:
    context: RunContext
    totals: Totals


def _load(runtime: Runtime, claim: RunClaim) -> _Loaded:
    if claim.task is RunTask.CHORD_CALLBACK or claim.context is None:
        context, totals = chord_run(runtime.backend, claim)
        return _Loaded(context, totals)
    return _Loaded(claim.context, count(runtime.ledger.runs.outcomes(claim.run_id)))


def _verdict(run: _Run, execution: Execution) -> FinalState:
    expected = execution.total_files if run.context.chord else run.context.total_files
    final = decide(
        run.totals,
        run.context,
        expected=expected,
        stopped=run.claim.stop or execution.status is ExecutionStatus.STOPPED,
    )
    if run.claim.attempts < _ATTEMPTS:
        return final
    reason = f"finalising failed {run.claim.attempts} times: {run.claim.last_error}"
    return FinalState(ExecutionStatus.ERROR, final.total_files, final.successful_files, final.failed_files, reason)


def _write_results(run: _Run) -> None:
    """The API caller's list, in place before the terminal status that releases the caller."""
    if run.context.kind is not RunKind.API or run.context.chord:
        return
    outcomes = run.runtime.ledger.runs.outcomes(run.claim.run_id)
    items = (item for outcome in outcomes for item in result_items(outcome))
    run.held.check()
    results = ApiResults(run.runtime.platform_redis, ttl_seconds=run.runtime.settings.files.result_ttl_seconds)
    results.replace(run.context.workflow_id, run.context.execution_id, items)


def _write_status(run: _Run, final: FinalState) -> FinalState:
    context, backend = run.context, run.runtime.backend
    try:
        return write_final(backend, context.organization_id, context.execution_id, final, run.key)
    except OutcomeUnknown:
        # Look before repeating: the write may have been stored.
        execution = backend.executions.get(context.organization_id, context.execution_id)
        stands = settled_by(final, execution)
        if stands is None:
            raise
        return stands


def _update_pipeline(run: _Run, final: FinalState) -> None:
    context = run.context
    if context.kind is RunKind.API or context.pipeline_id is None or final.status is None:
        return
    if "pipeline" in run.claim.journal:
        return
    run.held.check()
    update = PipelineUpdate(pipeline_status_for(final.status), is_end=True)
    try:
        run.runtime.backend.pipelines.update(
            context.organization_id, context.pipeline_id, update, key=f"{run.key}:pipeline"
        )
    except (BackendUnavailable, OutcomeUnknown):
        raise
    except BackendError as error:  # inactive or gone: the execution's own status stands all the same
        _log.warning("the pipeline's status was refused", pipeline_id=context.pipeline_id, error=str(error))
    run.runtime.ledger.runs.note(run.claim, "pipeline", str(final.status))


def _clean_up(run: _Run) -> None:
    """Staging directories are the backend's; today's offers no clean-up, which is counted."""
    try:
        offered = run.runtime.backend.executions.cleanup(run.context.organization_id, [run.context.execution_id])
    except BackendError as error:
        _log.warning("staging directories were not cleaned up", error=str(error))
        return
    if not offered:
        run.runtime.metrics.cleanup_not_offered.inc()


def _close(run: _Run, final: FinalState) -> None:
    context, ledger = run.context, run.runtime.settings.ledger
    level = "INFO" if final.status is ExecutionStatus.COMPLETED else "ERROR"
    run.runtime.log_events.log(
        LogEvent(
            context.log_channel,
            f"Execution ended {final.status}: {final.successful_files} of {final.total_files} files succeeded, "
            f"{final.failed_files} failed." + (f" {final.error}" if final.error else ""),
            context.execution_id,
            context.organization_id,
            stage="TERMINATION",
            level=level,
        )
    )
    closed = run.runtime.ledger.runs.finish(
        run.claim, final, recheck_seconds=ledger.recheck_seconds, tombstone_seconds=ledger.tombstone_seconds
    )
    _log.info("execution finalised", status=str(final.status), closed=closed, total_files=final.total_files)


def _give_up(runtime: Runtime, claim: RunClaim, reason: str) -> None:
    """The backend does not know the execution: nothing can be written. Visible in the dead letters."""
    letter = DeadLetter("finalise", "", f"execution {claim.run_id} cannot be finalised: {reason}", claim.run_id)
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind="execution").inc()
    ledger = runtime.settings.ledger
    runtime.ledger.runs.finish(claim, FinalState(), recheck_seconds=0, tombstone_seconds=ledger.tombstone_seconds)
