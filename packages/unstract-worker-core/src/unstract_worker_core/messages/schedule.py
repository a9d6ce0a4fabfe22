"""A scheduled or triggered pipeline: `scheduler.tasks.execute_pipeline_task` (contract: tasks 6.1)."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.messages.fields import one_line

__all__ = ["ScheduleMessage", "read_schedule"]

# "pipepline_id" is how the producers spell it.
_ORDER = (
    "workflow_id", "org_schema", "execution_action", "execution_id", "pipepline_id", "with_logs", "name",
)  # fmt: skip


@frozen
class ScheduleMessage:
    """A pipeline to run. `workflow_id` is None where the producer leaves it to the pipeline."""

    organization_id: str
    pipeline_id: str
    name: str = ""
    workflow_id: str | None = None


def read_schedule(args: Sequence[object], kwargs: Mapping[str, object]) -> ScheduleMessage:
    """Read the arguments of `execute_pipeline_task` or of its v2 form. Raises MessageError."""
    if len(args) > len(_ORDER):
        raise MessageError(f"expected at most {len(_ORDER)} arguments, got {len(args)}", field="args")
    given = dict(zip(_ORDER, args, strict=False)) | dict(kwargs)
    workflow = given.get("workflow_id")
    name = given.get("name", given.get("pipeline_name", ""))
    return ScheduleMessage(
        organization_id=organization_id(given.get("org_schema", given.get("organization_id")), field="org_schema"),
        pipeline_id=execution_id(given.get("pipepline_id", given.get("pipeline_id")), field="pipepline_id"),
        name=name[:256] if isinstance(name, str) and one_line(name) else "",
        workflow_id=execution_id(workflow, field="workflow_id") if workflow else None,
    )
