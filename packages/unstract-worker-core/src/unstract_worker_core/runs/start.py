"""The steps that API and ETL runs share at their start: tools, the execution, its status, the batches."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType

from attrs import evolve, frozen

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.executions import Execution, StatusUpdate
from unstract_worker_core.backend.workflows import ToolInstance, ToolValidation
from unstract_worker_core.errors import MessageError, NotFound, OutcomeUnknown
from unstract_worker_core.ledger import DeadLetter, FileItem, FinalState, RunContext
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.runs.failure_policy import get_optional
from unstract_worker_core.runs.session import Arm, Close, Decision, RunSession, start_of
from unstract_worker_core.statuses import ExecutionStatus, RunKind

MOST_BATCHES = 100
_NONE: Mapping[str, str] = MappingProxyType({})
# What creating the rows, writing the start's statuses and splitting into batches ask of the backend, for conformance.
ARMING_OPERATIONS = (
    ops.LIST_FILES, ops.CREATE_FILES, ops.CREATE_FILE, ops.UPDATE_FILES, ops.UPDATE_EXECUTION, ops.CONFIGURATION,
)  # fmt: skip
log = get_logger(__name__)


def deduplicate(files: Iterable[FileItem]) -> tuple[FileItem, ...]:
    """Uploads of equal content become one item, whose `copies` name the further ones.

    The backend has one row for them. Files whose type was refused were not stored and have no content to be equal.
    """
    items: list[FileItem] = []
    first: dict[str, int] = {}
    for file in files:
        at = None if file.unsupported or not file.hash else first.get(file.hash)
        if at is None:
            first.setdefault(file.hash, len(items))
            items.append(file)
        else:
            items[at] = evolve(items[at], copies=(*items[at].copies, file.name, *file.copies))
    return tuple(items)


def mark_executed(items: Iterable[FileItem], completed: Collection[str]) -> tuple[FileItem, ...]:
    """The items, with those marked as executed whose content the workflow has completed before."""
    return tuple(evolve(item, is_executed=True) if item.hash in completed else item for item in items)


def split(items: Iterable[FileItem], batches: int) -> tuple[tuple[FileItem, ...], ...]:
    """Distribute items round robin, in order, over at most `batches` (1 to 100) batches; none is empty."""
    dealt = tuple(items)
    count = min(max(1, batches), MOST_BATCHES, len(dealt))
    return tuple(dealt[start::count] for start in range(count))


@frozen
class LoadedRun:
    """A run that may be started: its message and its execution as the backend has it.

    Attributes:
        executing_at: when the backend last said that the execution is EXECUTING, by the local monotonic clock.
    """

    message: StartMessage
    execution: Execution
    executing_at: float | None = None

    @property
    def context(self) -> RunContext:
        """What all batches of the run share; the number of files is still to be set."""
        return context_of(self.message, self.execution)


def context_of(message: StartMessage, execution: Execution | None = None) -> RunContext:
    """The context that a start message and its execution make. `total_files` are the uploads; ETL brings none."""
    pipeline = message.pipeline_id or (execution.pipeline_id if execution else None)
    channel = execution.execution_log_id if execution else message.log_events_id
    return RunContext(
        execution_id=message.execution_id,
        organization_id=message.organization_id,
        workflow_id=message.workflow_id,
        kind=message.kind,
        pipeline_id=pipeline,
        use_file_history=message.use_file_history,
        log_channel=channel or message.log_events_id or pipeline,
        total_files=len(message.files) if message.kind is RunKind.API else 0,
        llm_profile_id=message.llm_profile_id,
        hitl_queue_name=message.hitl_queue_name,
        hitl_packet_id=message.hitl_packet_id,
        custom_data=message.custom_data,
        tags=execution.tags if execution else message.tags,
    )


def open_run(session: RunSession) -> LoadedRun | Decision:
    """Validate the tools and read the execution of a run that begins; the run, or what ends it here."""
    message = start_of(session.claim)
    problem = message.refused or _validate_tools(session, message)
    if problem is not None:
        return give_up(session, problem)
    loaded = load_run(session, message)
    if isinstance(loaded, LoadedRun):
        session.log_to_ui(loaded.context.log_channel, "Execution is being started.")
    return loaded


def _validate_tools(session: RunSession, message: StartMessage) -> str | None:
    backend = session.runtime.backend
    instances = backend.workflows.tool_instances(session.organization_id, message.workflow_id)
    if not instances:
        return None
    ids = [instance.id for instance in instances]
    return tool_problem(instances, backend.workflows.validate_tools(session.organization_id, message.workflow_id, ids))


def tool_problem(instances: tuple[ToolInstance, ...], validation: ToolValidation) -> str | None:
    """What is wrong with the tools. Success with fewer ids than were asked for is no success."""
    problems = "; ".join(f"{problem.tool_id or 'tool'}: {problem.error}" for problem in validation.errors)
    if not validation.success:
        return f"tool validation failed: {problems or 'no reason given'}"
    missing = [instance.tool_id for instance in instances if instance.id not in validation.validated_ids]
    if missing:
        return f"tool validation failed: not validated: {', '.join(missing)}"
    return None


def load_run(session: RunSession, message: StartMessage) -> LoadedRun | Decision:
    """Read the execution. Call it right before each status is written: the backend lets EXECUTING replace a stop.

    Returns:
        The run, or the decision that ends it: it is not known, has ended, or was stopped.
    """
    try:
        execution = session.runtime.backend.executions.get(session.organization_id, message.execution_id)
    except NotFound as error:
        return _close_as_dead_letter(session, f"execution {message.execution_id} cannot be started: {error}")
    executing_at = time.monotonic() if execution.status is ExecutionStatus.EXECUTING else None
    loaded = LoadedRun(message, execution, executing_at)
    return decision_if_terminal(loaded, stop=session.claim.stop) or loaded


def decision_if_terminal(loaded: LoadedRun, *, stop: bool) -> Decision | None:
    """The decision about an execution that has already ended: a stop is finalised, any other end is left as it is."""
    status = loaded.execution.status
    if status in (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR):
        log.info("the execution has ended already", status=status.value)
        return Close(FinalState(status=status, error="ended before it was started"))
    if stop or status is ExecutionStatus.STOPPED:
        return Arm(evolve(loaded.context, stopped=True))
    return None


def write_status_once(
    session: RunSession, loaded: LoadedRun, update: StatusUpdate, *, operation: str, notes: Mapping[str, str] = _NONE
) -> LoadedRun | Decision:
    """Write a status of the start, once in all attempts: a user's stop may come between two, which it would replace.

    Args:
        operation: the name of the status in the journal and in the idempotency key.
        notes: are journalled with it.

    Returns:
        The run, or the decision that ends it where the backend says that it has ended.
    """
    if session.journal_get(operation) is not None:
        return loaded
    session.check()
    executions, execution_id = session.runtime.backend.executions, loaded.message.execution_id
    try:
        refusal = executions.update_status(session.organization_id, execution_id, update, key=session.key(operation))
    except OutcomeUnknown:
        shown = executions.get(session.organization_id, execution_id)
        if shown.status is not update.status or update.total_files not in (None, shown.total_files):
            raise
        refusal = None
    if refusal is not None:
        ended = load_run(session, loaded.message)
        return Close(FinalState(error=refusal)) if isinstance(ended, LoadedRun) else ended
    session.journal_put_all({operation: "written", **notes})
    return evolve(loaded, executing_at=time.monotonic())


def arm_files(
    session: RunSession, loaded: LoadedRun, items: Sequence[FileItem], *, before: tuple[int, int] = (0, 0)
) -> Decision:
    """Split the files into batches, as many as the organization allows side by side.

    Args:
        before: how many further files completed and failed in a run of this execution that the ledger lost.
    """
    batches = split(items, _batch_limit(session) if len(items) > 1 else 1)
    completed, failed = before
    known = loaded.executing_at
    context = evolve(
        loaded.context,
        total_files=sum(item.uploads for item in items) + completed + failed,
        completed_before=completed,
        failed_before=failed,
        executing_seconds=None if known is None else time.monotonic() - known,
    )
    session.log_to_ui(context.log_channel, f"Files to process: {context.total_files}, in batches: {len(batches)}.")
    return Arm(context, batches)


def give_up(session: RunSession, reason: str) -> Decision:
    """End a run in ERROR with this reason; without a readable message there is nothing to write it to."""
    try:
        context = context_of(start_of(session.claim))
    except MessageError as error:
        return _close_as_dead_letter(session, f"the accepted start message cannot be read: {error}")
    session.log_to_ui(context.log_channel, f"Execution cannot be started: {reason}", level="ERROR")
    return Arm(evolve(context, error=reason))


def _batch_limit(session: RunSession) -> int:
    workflows = session.runtime.backend.workflows
    own = get_optional(
        lambda: workflows.max_parallel_file_batches(session.organization_id),
        None,
        what="MAX_PARALLEL_FILE_BATCHES",
    )
    return session.runtime.settings.files.max_parallel_batches if own is None else own


def _close_as_dead_letter(session: RunSession, reason: str) -> Close:
    doorbell = Doorbell.ORCHESTRATE_API if session.claim.kind is RunKind.API else Doorbell.ORCHESTRATE
    queue = DOORBELL_QUEUES[doorbell]
    letter = DeadLetter(task="orchestrate", queue=queue, reason=reason, task_id=session.claim.run_id)
    return Close(FinalState(error=reason), letter)
