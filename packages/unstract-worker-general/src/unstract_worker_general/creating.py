"""One execution for one schedule message, though `execution/create` makes one each time that it is called.

What was there before is journalled first; after an unknown outcome the new one is looked for in the list before it
is asked for again. The list is compared with itself, by the backend's clock alone.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import ExecutionSummary, NewExecution
from unstract_worker_core.messages import ScheduleMessage, StartMessage
from unstract_worker_core.runs import RunSession
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["created", "created_before", "find_created_execution", "newest"]


@frozen
class _Asked:
    """Journalled before an execution is created: when the newest pending one of the workflow had been created."""

    workflow_id: str
    since: str = ""


def created(session: RunSession, message: ScheduleMessage, workflow_id: str) -> StartMessage:
    """Create this message's execution and give its start. Ask `created_before` first, in every attempt."""
    executions = session.runtime.backend.executions
    if session.journal_get("create:asked") is None:
        pending = executions.list(session.organization_id, workflow_id, [ExecutionStatus.PENDING])
        session.journal_put("create:asked", serialization.encode(_Asked(workflow_id, newest(pending))))
    session.check()
    wanted = NewExecution(workflow_id=workflow_id, pipeline_id=message.pipeline_id, mode="QUEUE", scheduled=True)
    made = executions.create(session.organization_id, wanted, key=session.key("create"))
    return _noted(session, message, workflow_id, made.execution_id)


def created_before(session: RunSession, message: ScheduleMessage) -> StartMessage | None:
    """The start of the execution that an earlier attempt created, journalled or not."""
    done, noted = session.journal_get("created"), session.journal_get("create:asked")
    if done is not None:
        return serialization.decode(done, StartMessage)
    if noted is None:
        return None
    asked, runtime = serialization.decode(noted, _Asked), session.runtime
    pending = runtime.backend.executions.list(session.organization_id, asked.workflow_id, [ExecutionStatus.PENDING])

    def known(execution_id: str) -> bool:
        return runtime.ledger.runs.state(execution_id) is not None

    found = find_created_execution(pending, message.pipeline_id, since=asked.since, known=known)
    return None if found is None else _noted(session, message, asked.workflow_id, found)


def newest(executions: Iterable[ExecutionSummary]) -> str:
    """When the newest of the executions was created, as the backend wrote it; empty without any."""
    return max((execution.created_at for execution in executions), key=_moment, default="")


def find_created_execution(
    executions: Iterable[ExecutionSummary], pipeline_id: str, *, since: str, known: Callable[[str], bool]
) -> str | None:
    """The execution that an earlier request has made: scheduled, of this pipeline, newer than `since`, nobody's yet."""
    own = [each for each in executions if each.pipeline_id == pipeline_id and each.execution_method == "SCHEDULED"]
    new = sorted((_moment(each.created_at), each.id) for each in own if _moment(each.created_at) > _moment(since))
    return next((execution_id for _, execution_id in new if not known(execution_id)), None)


def _moment(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _noted(session: RunSession, message: ScheduleMessage, workflow_id: str, execution_id: str) -> StartMessage:
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
