"""A scheduled or triggered pipeline (contract: tasks 6.1): show it as running, create its execution, start that."""

from unstract_worker_core import serialization
from unstract_worker_core.backend.pipelines import Pipeline, PipelineUpdate
from unstract_worker_core.errors import BackendRefused, MessageError, NotFound, UnexpectedAnswer
from unstract_worker_core.ledger import DeadLetter, FinalState, RunState, RunTask
from unstract_worker_core.messages import ScheduleMessage, StartMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import queues_of
from unstract_worker_core.runs import Close, Decision, RunSession, is_permanent, put_start, reason_of
from unstract_worker_core.statuses import PipelineStatus, WorkerType
from unstract_worker_general.creating import created, created_before
from unstract_worker_general.subscribers import tell_subscribers

__all__ = ["give_up_schedule", "start_pipeline"]

log = get_logger(__name__)


def start_pipeline(session: RunSession) -> Decision:
    """From an accepted schedule message to an accepted start message."""
    message = serialization.decode(session.claim.start, ScheduleMessage)
    start = created_before(session, message)
    if start is not None:
        return _start(session, start)
    try:
        pipeline = session.runtime.backend.pipelines.get(session.organization_id, message.pipeline_id)
    except NotFound as error:
        return _put_aside(session, f"pipeline {message.pipeline_id} cannot be started: {error}")
    refusal = _show_running(session, pipeline)
    if refusal is not None:
        log.warning("the pipeline is not started", pipeline_id=pipeline.id, reason=refusal)
        return Close(FinalState(error=refusal))
    tell_subscribers(session, pipeline)
    return _start(session, created(session, message, pipeline.workflow_id))


def give_up_schedule(session: RunSession, reason: str) -> Decision:
    """End for good: the pipeline has failed. An execution that was created all the same is started instead."""
    try:
        message = serialization.decode(session.claim.start, ScheduleMessage)
    except MessageError as error:
        return _put_aside(session, f"the accepted schedule message cannot be read: {error}")
    start = created_before(session, message)
    if start is not None:
        return _start(session, start)
    try:
        _write_status(session, message.pipeline_id, PipelineUpdate(PipelineStatus.FAILURE, is_end=True))
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        log.warning("the pipeline's status was refused", reason=reason_of(error))
    return _put_aside(session, f"pipeline {message.pipeline_id} cannot be started: {reason}")


def _show_running(session: RunSession, pipeline: Pipeline) -> str | None:
    """Write INPROGRESS; why the pipeline is not to be started, or None. The backend refuses it for a paused one."""
    if session.journal_get("in_progress") is not None:
        return None
    if not pipeline.active:
        return "the pipeline is paused"
    try:
        _write_status(session, pipeline.id, PipelineUpdate(PipelineStatus.INPROGRESS))
    except BackendRefused as error:
        if not is_permanent(error):
            raise
        return reason_of(error)
    session.journal_put("in_progress", "written")
    return None


def _write_status(session: RunSession, pipeline_id: str, update: PipelineUpdate) -> None:
    session.check()
    key = session.key(f"pipeline:{update.status}")
    session.runtime.backend.pipelines.update(session.organization_id, pipeline_id, update, key=key)


def _start(session: RunSession, start: StartMessage) -> Decision:
    accepted = put_start(session.runtime, start)
    if accepted.state is RunState.ACCEPTED:
        session.runtime.doorbells.ring_start(start.execution_id, task=RunTask.EXECUTION, kind=start.kind)
    log.info("the pipeline is started", execution_id=start.execution_id)
    return Close(FinalState(detail={"execution_id": start.execution_id}))


def _put_aside(session: RunSession, reason: str) -> Close:
    queue = queues_of(WorkerType.GENERAL).platform[0]
    letter = DeadLetter("execute_pipeline_task", queue, reason, session.claim.run_id)
    return Close(FinalState(error=reason), letter)
