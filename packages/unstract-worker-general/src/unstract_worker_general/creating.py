"""One execution for one schedule message, though `execution/create` makes one each time that it is called.

What was there before is journalled first; after an unknown outcome the new one is looked for in the list before it
is asked for again. The list is compared with itself, by the backend's clock alone.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.models import ExecutionSummary, NewExecution
from unstract_worker_core.messages import ScheduleMessage, StartMessage
from unstract_worker_core.runs import Turn
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["adoptable", "created", "created_before", "newest"]


@frozen
class _Asked:
    """Journalled before an execution is created: when the newest pending one of the workflow had been created."""

    workflow_id: str
    since: str = ""


def created(turn: Turn, message: ScheduleMessage, workflow_id: str) -> StartMessage:
    """Create this message's execution and give its start. Ask `created_before` first, in every attempt."""
    executions = turn.runtime.backend.executions
    if turn.noted("create:asked") is None:
        pending = executions.list(turn.organization_id, workflow_id, [ExecutionStatus.PENDING])
        turn.note("create:asked", serialization.encode(_Asked(workflow_id, newest(pending))))
    turn.check()
    wanted = NewExecution(workflow_id=workflow_id, pipeline_id=message.pipeline_id, mode="QUEUE", scheduled=True)
    made = executions.create(turn.organization_id, wanted, key=turn.key("create"))
    return _noted(turn, message, workflow_id, made.execution_id)


def created_before(turn: Turn, message: ScheduleMessage) -> StartMessage | None:
    """The start of the execution that an earlier attempt created, journalled or not."""
    done, noted = turn.noted("created"), turn.noted("create:asked")
    if done is not None:
        return serialization.decode(done, StartMessage)
    if noted is None:
        return None
    asked, runtime = serialization.decode(noted, _Asked), turn.runtime
    pending = runtime.backend.executions.list(turn.organization_id, asked.workflow_id, [ExecutionStatus.PENDING])

    def known(execution_id: str) -> bool:
        return runtime.ledger.runs.state(execution_id) is not None

    found = adoptable(pending, message.pipeline_id, since=asked.since, known=known)
    return None if found is None else _noted(turn, message, asked.workflow_id, found)


def newest(executions: Iterable[ExecutionSummary]) -> str:
    """When the newest of the executions was created, as the backend wrote it; empty without any."""
    return max((execution.created_at for execution in executions), key=_moment, default="")


def adoptable(
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


def _noted(turn: Turn, message: ScheduleMessage, workflow_id: str, execution_id: str) -> StartMessage:
    start = StartMessage(
        organization_id=turn.organization_id,
        workflow_id=workflow_id,
        execution_id=execution_id,
        kind=RunKind.ETL,
        pipeline_id=message.pipeline_id,
        use_file_history=True,
        scheduled=True,
    )
    return serialization.decode(turn.note("created", serialization.encode(start)), StartMessage)
