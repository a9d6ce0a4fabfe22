"""A scheduled or triggered pipeline (contract: tasks 6.1): show it as running, create its execution, start that.

`execution/create` makes an execution each time it is called, but one message must lead to one execution. So the time of
the workflow's newest pending execution is journalled first; after an unknown outcome the new one is looked for in the
backend's list before it is requested again. Only times of the backend's own clock are compared.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import ExecutionSummary, NewExecution
from unstract_worker_core.backend.pipelines import IN_PROGRESS, Pipeline, RunEvent, wanted_targets
from unstract_worker_core.errors import BackendError, BackendRefused, MessageError, NotFound
from unstract_worker_core.identifiers import execution_id, opaque_id, organization_id
from unstract_worker_core.ledger import DeadLetter, FinalState, RunState, RunTask
from unstract_worker_core.messages.fields import is_one_line, named
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import queues_of
from unstract_worker_core.runs.failure_policy import call_or_go_on, is_permanent, reason_of
from unstract_worker_core.runs.run_handler import accept_run, put_run
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.runs.session import Close, Decision, RunSession
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus, RunKind, WorkerType

# "pipepline_id" is how the producers spell it.
_ARGUMENTS = (
    "workflow_id", "org_schema", "execution_action", "execution_id", "pipepline_id", "with_logs", "name",
)  # fmt: skip

log = get_logger(__name__)


@frozen
class ScheduleMessage:
    """A pipeline to run. `workflow_id` is None where the producer leaves it to the pipeline."""

    organization_id: str
    pipeline_id: str
    name: str = ""
    workflow_id: str | None = None


@frozen
class _BeforeCreate:
    """Journalled before an execution is created. `since`: when the workflow's newest pending one had been created."""

    workflow_id: str
    since: str = ""


def read_schedule(args: Sequence[object], kwargs: Mapping[str, object]) -> ScheduleMessage:
    """Read the arguments of `execute_pipeline_task` or of its v2 form. Raises MessageError."""
    given = named(args, kwargs, _ARGUMENTS)
    workflow = given.get("workflow_id")
    name = given.get("name", given.get("pipeline_name", ""))
    return ScheduleMessage(
        organization_id=organization_id(given.get("org_schema", given.get("organization_id")), field="org_schema"),
        pipeline_id=execution_id(given.get("pipepline_id", given.get("pipeline_id")), field="pipepline_id"),
        name=name[:256] if isinstance(name, str) and is_one_line(name) else "",
        workflow_id=execution_id(workflow, field="workflow_id") if workflow else None,
    )


def accept_schedule(runtime: Runtime, delivery: Delivery) -> None:
    """Accept a schedule message under its message's id. Raises MessageError."""
    message = read_schedule(delivery.args, delivery.kwargs)
    run_id = opaque_id(delivery.task_id, field="task_id")
    organization = message.organization_id
    accept_run(runtime, run_id, task=RunTask.SCHEDULE, organization_id=organization, message=message)


def start_pipeline(session: RunSession) -> Decision:
    """From an accepted schedule message to an accepted start message."""
    message = serialization.decode(session.claim.start, ScheduleMessage)
    start = _created_earlier(session, message)
    if start is None:
        try:
            pipeline = session.runtime.backend.pipelines.get(session.organization_id, message.pipeline_id)
        except NotFound as error:
            return _dead_letter(session, f"pipeline {message.pipeline_id} cannot be started: {error}")
        refusal = _show_running(session, pipeline)
        if refusal is not None:
            log.warning("the pipeline is not started", pipeline_id=pipeline.id, reason=refusal)
            return Close(FinalState(error=refusal))
        _notify_subscribers(session, pipeline)
        start = _create_execution(session, message, pipeline.workflow_id)
    return _start(session, start)


def give_up_schedule(session: RunSession, reason: str) -> Decision:
    """End for good: the pipeline has failed. If an execution was created nevertheless, it is started instead."""
    try:
        message = serialization.decode(session.claim.start, ScheduleMessage)
    except MessageError as error:
        return _dead_letter(session, f"the accepted schedule message cannot be read: {error}")
    start = _created_earlier(session, message)
    if start is not None:
        return _start(session, start)
    call_or_go_on(
        lambda: _write_status(session, message.pipeline_id, PipelineStatus.FAILURE, is_end=True),
        None,
        "the pipeline's status was refused",
    )
    return _dead_letter(session, f"pipeline {message.pipeline_id} cannot be started: {reason}")


def newest(executions: Iterable[ExecutionSummary]) -> str:
    """When the newest of the executions was created, as the backend wrote it; empty without any."""
    return max((execution.created_at for execution in executions), key=_timestamp, default="")


def find_created_execution(
    executions: Iterable[ExecutionSummary], pipeline_id: str, *, since: str, known: Callable[[str], bool]
) -> str | None:
    """The execution that an earlier request created: scheduled, of this pipeline, created after `since`.

    Args:
        executions: the workflow's pending ones.
        pipeline_id: of the schedule message.
        since: as `newest` returned it before the request.
        known: whether an execution has a run already, so that it belongs to another message.
    """
    own = [each for each in executions if each.pipeline_id == pipeline_id and each.execution_method == "SCHEDULED"]
    after = _timestamp(since)
    new = sorted((created, each.id) for each in own if (created := _timestamp(each.created_at)) > after)
    return next((execution_id for _, execution_id in new if not known(execution_id)), None)


def _created_earlier(session: RunSession, message: ScheduleMessage) -> StartMessage | None:
    """The start message of the execution that an earlier attempt created, whether that was journalled or not."""
    journalled, noted = session.journal_get("created"), session.journal_get("create:asked")
    if journalled is not None:
        return serialization.decode(journalled, StartMessage)
    if noted is None:
        return None
    before, runtime = serialization.decode(noted, _BeforeCreate), session.runtime
    pending = runtime.backend.executions.list(session.organization_id, before.workflow_id, [ExecutionStatus.PENDING])
    found = find_created_execution(
        pending,
        message.pipeline_id,
        since=before.since,
        known=lambda execution_id: runtime.ledger.runs.state(execution_id) is not None,
    )
    return None if found is None else _journal_created(session, message, before.workflow_id, found)


def _create_execution(session: RunSession, message: ScheduleMessage, workflow_id: str) -> StartMessage:
    """Create this message's execution. Every attempt calls `_created_earlier` first."""
    executions = session.runtime.backend.executions
    if session.journal_get("create:asked") is None:
        pending = executions.list(session.organization_id, workflow_id, [ExecutionStatus.PENDING])
        session.journal_put("create:asked", serialization.encode(_BeforeCreate(workflow_id, newest(pending))))
    session.check()
    wanted = NewExecution(workflow_id=workflow_id, pipeline_id=message.pipeline_id, mode="QUEUE", scheduled=True)
    created = executions.create(session.organization_id, wanted, key=session.key("create"))
    return _journal_created(session, message, workflow_id, created)


def _journal_created(
    session: RunSession, message: ScheduleMessage, workflow_id: str, execution_id: str
) -> StartMessage:
    start = StartMessage(
        organization_id=session.organization_id,
        workflow_id=workflow_id,
        execution_id=execution_id,
        kind=RunKind.ETL,
        pipeline_id=message.pipeline_id,
        use_file_history=True,
        scheduled=True,
    )
    return serialization.decode(session.journal_put("created", serialization.encode(start)), StartMessage)


def _show_running(session: RunSession, pipeline: Pipeline) -> str | None:
    """Write INPROGRESS; why the pipeline is not to be started, or None. The backend refuses it for a paused one."""
    if session.journal_get("in_progress") is not None:
        return None
    if not pipeline.active:
        return "the pipeline is paused"
    try:
        _write_status(session, pipeline.id, PipelineStatus.INPROGRESS)
    except BackendRefused as error:
        if not is_permanent(error):
            raise
        return reason_of(error)
    session.journal_put("in_progress", "written")
    return None


def _write_status(session: RunSession, pipeline_id: str, status: PipelineStatus, *, is_end: bool = False) -> None:
    session.check()
    key = session.key(f"pipeline:{status}")
    session.runtime.backend.pipelines.update(session.organization_id, pipeline_id, status, is_end=is_end, key=key)


def _notify_subscribers(session: RunSession, pipeline: Pipeline) -> None:
    """Enqueue an INPROGRESS event for each active target. A failure is logged and does not prevent the start."""
    notifications = session.runtime.backend.notifications
    try:
        targets = notifications.for_pipeline(session.organization_id, pipeline.id)
    except BackendError as error:
        log.warning("the pipeline's subscribers cannot be read", reason=reason_of(error))
        return
    kind = "API" if pipeline.is_api else "ETL"
    event = RunEvent(type=kind, pipeline_id=pipeline.id, pipeline_name=pipeline.name, status=IN_PROGRESS)
    for target in wanted_targets(targets):
        if session.journal_get(f"notified:{target.id}") is not None:
            continue
        session.check()
        key = session.key("INPROGRESS", target.id)
        try:
            row = notifications.enqueue(session.organization_id, event, target, key=key)
        except BackendError as error:
            log.warning("a subscriber is not notified", notification_id=target.id, reason=reason_of(error))
            continue
        session.journal_put(f"notified:{target.id}", row or "not wanted")


def _start(session: RunSession, start: StartMessage) -> Decision:
    runtime, run_id, task = session.runtime, start.execution_id, RunTask.EXECUTION
    organization = start.organization_id
    accepted = put_run(runtime, run_id, task=task, kind=start.kind, organization_id=organization, message=start)
    if accepted.state is RunState.ACCEPTED:
        runtime.doorbells.ring_start(run_id, task=task, kind=start.kind)
    log.info("the pipeline is started", execution_id=start.execution_id)
    return Close(FinalState(detail={"execution_id": start.execution_id}))


def _dead_letter(session: RunSession, reason: str) -> Close:
    queue = queues_of(WorkerType.GENERAL).platform[0]
    letter = DeadLetter("execute_pipeline_task", queue, reason, session.claim.run_id)
    return Close(FinalState(error=reason), letter)


def _timestamp(text: str) -> float:
    """Seconds since the epoch; 0.0 for a time that cannot be read."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0
