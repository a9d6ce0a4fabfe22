"""Finalising a READY run: count, decide, write results and status once, follow up, close.

Every step can be repeated. After a crash the next claim continues: the backend and the journal show which steps were
done. `runs.failure_policy` decides what each error means.
"""

from collections.abc import Iterable, Iterator
from functools import cache

from attrs import evolve, frozen

from unstract_worker_callback.chord_compat import load_chord_run
from unstract_worker_callback.final_status import (
    Totals,
    add_counts,
    count,
    count_rows,
    existing_terminal,
    final_state,
    totals_before,
    write_final_status,
)
from unstract_worker_callback.notify import notify
from unstract_worker_core.api_results import ApiResultItem, ApiResults, result_items
from unstract_worker_core.backend.executions import Execution
from unstract_worker_core.errors import BackendError, BackendRefused, MessageError, WorkerError
from unstract_worker_core.ledger import DeadLetter, FileOutcome, FinalState, OutcomeKind, RunContext, RunState, RunTask
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.runs.failure_policy import (
    ErrorKind,
    Place,
    Reaction,
    RetryDelays,
    call_or_go_on,
    kind_of,
    reaction_to,
)
from unstract_worker_core.runs.files_in_use import release_marks
from unstract_worker_core.runs.run_handler import release_run
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.statuses import ExecutionStatus, RunKind, pipeline_status_for
from unstract_worker_core.ui_logs import LogEvent

# The outcomes of so many files are kept and not read twice: each may have a result of MAX_FILE_RESULT_BYTES.
_FEW_FILES = 2
# After so many failed attempts the run ends in ERROR, with the results that can be read.
MAX_ATTEMPTS = 5
# Every value is read before it is written again, so an unknown outcome needs no longer wait.
_DELAYS = RetryDelays(unavailable=1.0, unknown=1.0)
# Journal fields: the API results are written; the status that will be written; the status that counts were added to.
_RESULTS, _STATUS, _COUNTS = "results", "status", "counts"

_log = get_logger(__name__)


@frozen
class ReadyRun:
    """A run to finalise: its context, the totals of its outcomes, its execution as the backend shows it.

    `outcomes` are kept where they are few; else they are read again for the results.
    """

    context: RunContext
    totals: Totals
    execution: Execution
    outcomes: tuple[FileOutcome, ...] = ()


def finalise_run(runtime: Runtime, run_id: str) -> bool:
    """Finalise a run if it is READY and free. Returns False if there was nothing to do.

    Raises:
        LeaseLost, LedgerError: the run could not be given back to the ledger; its lease will lapse.
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
        session = RunSession(runtime, claim, held)
        try:
            _finalise(session)
        except Exception as error:  # boundary of one attempt: the run is given back, or its lease lapses
            if reaction_to(error, Place.FINALISE) is Reaction.LEAVE:
                raise
            if kind_of(error) is ErrorKind.DEFECT:
                _log.exception("finalising failed unexpectedly", run_id=run_id)
            release_run(session, error, Place.FINALISE, _DELAYS)
    return True


def _finalise(session: RunSession) -> None:
    if session.claim.task is RunTask.CHORD_BATCH:  # the delivery of its own message finishes it
        session.runtime.ledger.runs.release(session.claim)
        return
    run = _load(session)
    if run is None:
        return
    if _ended_before_its_start(session, run):
        release_marks(session)
        _finish(session, FinalState(status=run.execution.status, error="ended before it was started"))
        return
    final = _write_end(session, run, _decide(session, run))
    release_marks(session)
    try:
        _update_pipeline(session, run.context, final)
        _clean_up(session, run.context)
        notify(session, run.context, final)
    except BackendError as error:
        if not (_last_attempt(session) and reaction_to(error, Place.FOLLOW_UP) is Reaction.CHARGE):
            raise
        _log.error("the status is written, but not all follow-up calls were made", reason=str(error))
    _log_end(session, run.context, final)
    _finish(session, final, recheck_seconds=session.runtime.settings.ledger.recheck_seconds)


def _load(session: RunSession) -> ReadyRun | None:
    """The run with its execution; None after the run was closed with a dead letter."""
    claim, backend = session.claim, session.runtime.backend
    try:
        if claim.task is RunTask.CHORD_CALLBACK or claim.context is None:
            return ReadyRun(*load_chord_run(backend, claim))
        context = claim.context
        totals, few = _count(session, context)
        execution = backend.executions.get(context.organization_id, context.execution_id)
        if claim.batches == 0 and execution.status is ExecutionStatus.STOPPED:
            # Stopped before this run had files. If the ledger lost an earlier run of it, its rows show the files.
            totals = count_rows(backend.files.list(context.organization_id, context.execution_id))
        return ReadyRun(context, totals, execution, few)
    except (BackendRefused, MessageError) as error:
        reaction = reaction_to(error, Place.FINALISE)
        if reaction is Reaction.END or (reaction is Reaction.CHARGE and _last_attempt(session)):
            _close_with_dead_letter(session, str(error))
            return None
        raise


def _ended_before_its_start(session: RunSession, run: ReadyRun) -> bool:
    """Whether the execution ended before this run had files: its start message was delivered again."""
    status, claim = run.execution.status, session.claim
    ended = status.terminal and status is not ExecutionStatus.STOPPED
    nothing_done = claim.task is RunTask.EXECUTION and claim.batches == 0
    return ended and nothing_done and session.journal_get(_STATUS) != status


def _count(session: RunSession, context: RunContext) -> tuple[Totals, tuple[FileOutcome, ...]]:
    """The totals, and the outcomes themselves where they are few."""
    outcomes: Iterable[FileOutcome] = session.runtime.ledger.runs.outcomes(session.claim.run_id)
    few: tuple[FileOutcome, ...] = ()
    try:
        if context.total_files <= _FEW_FILES:
            outcomes = few = tuple(outcomes)
        return count(outcomes, before=totals_before(context)), few
    except MessageError:  # a record that cannot be read; at the last attempt the run ends in ERROR for it
        if not _last_attempt(session):
            raise
        return Totals(), ()


def _decide(session: RunSession, run: ReadyRun) -> FinalState:
    claim, stopped = session.claim, run.execution.status is ExecutionStatus.STOPPED
    final = final_state(run.totals, run.context, expected=run.context.total_files, stopped=claim.stop or stopped)
    if not _last_attempt(session) or final.status is ExecutionStatus.STOPPED:
        return final
    reason = f"finalising failed {claim.attempts} times: {claim.last_error or 'its worker died'}"
    return evolve(final, status=ExecutionStatus.ERROR, error=reason)


def _write_end(session: RunSession, run: ReadyRun, final: FinalState) -> FinalState:
    """Write results and status. Returns the final state that the backend shows.

    A terminal status never changes. Where it is not ours, results and counts are still to be written.
    """
    backend, context, shown = session.runtime.backend, run.context, run.execution.status
    ids, key = (context.organization_id, context.execution_id), _key(session, context)
    if not shown.terminal:
        _write_results(session, run)
        session.journal_put_all({_RESULTS: "written", _STATUS: str(final.status)})
        session.held.check()
        return write_final_status(backend, *ids, final, key)
    ended_by_another = shown != session.journal_get(_STATUS)  # by a user's stop, or by the platform
    if ended_by_another and session.journal_get(_COUNTS) is None:
        if session.journal_get(_RESULTS) is None:
            _write_results(session, run)
            session.journal_put(_RESULTS, "written")
        session.held.check()
        call_or_go_on(
            lambda: add_counts(backend, *ids, final, shown, f"{key}:counts"),
            None,
            "the counts of an execution that has ended were refused",
        )
        session.journal_put(_COUNTS, str(shown))
    return existing_terminal(final, run.execution) or final


def _write_results(session: RunSession, run: ReadyRun) -> None:
    """Write the API caller's list. It must be there before the terminal status, which ends the caller's waiting."""
    context = run.context
    if context.kind is not RunKind.API or context.chord:
        return
    runtime = session.runtime
    results = ApiResults(runtime.platform_redis, ttl_seconds=runtime.settings.files.result_ttl_seconds)
    try:
        results.replace(context.workflow_id, context.execution_id, _result_items(session, run))
    except WorkerError as error:
        if not _last_attempt(session) or reaction_to(error, Place.FINALISE) is not Reaction.CHARGE:
            raise
        _log.error("the run ends without its results", reason=str(error))


def _result_items(session: RunSession, run: ReadyRun) -> Iterator[ApiResultItem]:
    """An item for each upload, except for files that did not start because of a stop."""
    for outcome in run.outcomes or session.runtime.ledger.runs.outcomes(session.claim.run_id):
        if outcome.kind is not OutcomeKind.SKIPPED:
            yield from result_items(outcome)
    # After the last item: if this owner was paused and the run expired meanwhile, the list is incomplete.
    session.held.check()


def _update_pipeline(session: RunSession, context: RunContext, final: FinalState) -> None:
    """Write the status of the pipeline's last run, once. Raises BackendError: it is repeated later."""
    if context.kind is RunKind.API or context.pipeline_id is None or final.status is None:
        return
    if session.journal_get("pipeline") is not None:
        return
    session.held.check()
    status, key = pipeline_status_for(final.status), f"{_key(session, context)}:pipeline"
    pipelines, pipeline_id = session.runtime.backend.pipelines, context.pipeline_id
    call_or_go_on(  # refused where it is paused, deleted, or no UUID: the execution's own status counts
        lambda: pipelines.update(context.organization_id, pipeline_id, status, is_end=True, key=key),
        None,
        "the pipeline's status was refused",
        pipeline_id=pipeline_id,
    )
    session.journal_put("pipeline", str(final.status))


def _clean_up(session: RunSession, context: RunContext) -> None:
    """Have the backend delete the staging directories; count the backends that do not offer it."""
    session.held.check()
    try:
        offered = session.runtime.backend.executions.cleanup(
            context.organization_id, [context.execution_id], key=f"{_key(session, context)}:cleanup"
        )
    except BackendError as error:
        _log.warning("staging directories were not cleaned up", reason=str(error))
        return
    if not offered:
        session.runtime.metrics.cleanup_not_offered.inc()
        _warn_not_offered()


@cache  # once per process
def _warn_not_offered() -> None:
    _log.warning("the backend does not offer to clean up staging directories: do it there")


def _log_end(session: RunSession, context: RunContext, final: FinalState) -> None:
    text = (
        f"Execution ended {final.status}: {final.successful_files} of {final.total_files} files succeeded, "
        f"{final.failed_files} failed." + (f" {final.error}" if final.error else "")
    )
    level = "INFO" if final.status is ExecutionStatus.COMPLETED else "ERROR"
    session.runtime.log_events.log(
        LogEvent(context.log_channel, text, context.execution_id, context.organization_id, "TERMINATION", level)
    )


def _close_with_dead_letter(session: RunSession, reason: str) -> None:
    """Close a run whose status cannot be written, because the backend does not know its execution."""
    runtime, claim = session.runtime, session.claim
    release_marks(session)
    queue = DOORBELL_QUEUES[Doorbell.CALLBACK]
    letter = DeadLetter("finalise", queue, f"execution {claim.run_id} cannot be finalised: {reason}", claim.run_id)
    runtime.ledger.dead_letters.add(letter)
    runtime.metrics.dead_letters.labels(kind="execution").inc()
    _finish(session, FinalState())


def _finish(session: RunSession, final: FinalState, *, recheck_seconds: float = 0.0) -> None:
    tombstone = session.runtime.settings.ledger.tombstone_seconds
    closed = session.runtime.ledger.runs.finish(
        session.claim, final, recheck_seconds=recheck_seconds, tombstone_seconds=tombstone
    )
    _log.info(
        "run closed",
        status=str(final.status),
        closed=closed,
        total_files=final.total_files,
        successful_files=final.successful_files,
        failed_files=final.failed_files,
    )


def _last_attempt(session: RunSession) -> bool:
    return session.claim.attempts >= MAX_ATTEMPTS


def _key(session: RunSession, context: RunContext) -> str:
    """Idempotency key of the final status; the keys of the follow-up calls start with it."""
    return f"{context.execution_id}:{session.claim.epoch}:final"
