"""Files that an execution brought to an end before the ledger lost its run: their rows say so, the source may not.

A run that is started again lists what is left at the source. What it did before counts all the same.
"""

from collections.abc import Iterable, Sequence

from unstract_worker_core import serialization
from unstract_worker_core.backend.models import FileExecution
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.runs import Opened, Turn
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["ended_before", "not_among"]

_ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR)

Rows = Sequence[FileExecution]


def ended_before(turn: Turn, opened: Opened) -> Rows:
    """The rows of files that ended already, of an execution that says that it runs though nobody here started it."""
    known = turn.noted("before")
    if known is None:
        if opened.execution.status is not ExecutionStatus.EXECUTING or turn.noted("executing") is not None:
            return ()
        rows = turn.runtime.backend.files.list(turn.organization_id, opened.message.execution_id)
        ended = [serialization.unstructure(row) for row in rows if row.status in _ENDED]
        known = turn.note("before", serialization.dumps(ended))
    return tuple(serialization.structure(entry, FileExecution) for entry in serialization.loads(known))


def not_among(rows: Rows, items: Iterable[FileItem]) -> tuple[int, int]:
    """How many of the rows completed and failed, without those of files that are worked on again."""
    again = {(item.path, item.provider_file_uuid or "") for item in items}
    left = [row for row in rows if (row.file_path, row.provider_file_uuid or "") not in again]
    completed = sum(row.status is ExecutionStatus.COMPLETED for row in left)
    return completed, len(left) - completed
