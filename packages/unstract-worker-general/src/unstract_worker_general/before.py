"""Files that an execution brought to an end before the ledger lost its run: their rows say so, the source may not.

A run that is started again lists what is left at the source. What it did before counts all the same.
"""

from collections.abc import Iterable, Sequence

from unstract_worker_core import serialization
from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.runs import LoadedRun, RunSession
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["count_not_relisted", "ended_before"]

_ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR)

Rows = Sequence[FileExecution]


def ended_before(session: RunSession, loaded: LoadedRun) -> Rows:
    """The rows of files that ended already, of an execution that says that it runs though nobody here started it."""
    known = session.journal_get("before")
    if known is None:
        if loaded.execution.status is not ExecutionStatus.EXECUTING or session.journal_get("executing") is not None:
            return ()
        rows = session.runtime.backend.files.list(session.organization_id, loaded.message.execution_id)
        ended = [serialization.unstructure(row) for row in rows if row.status in _ENDED]
        known = session.journal_put("before", serialization.dumps(ended))
    return tuple(serialization.structure(entry, FileExecution) for entry in serialization.loads(known))


def count_not_relisted(rows: Rows, items: Iterable[FileItem]) -> tuple[int, int]:
    """How many of the rows completed and failed, without those of files that are worked on again."""
    if not rows:
        return 0, 0
    again = {(item.path, item.provider_file_uuid or "") for item in items}
    left = [row for row in rows if (row.file_path, row.provider_file_uuid or "") not in again]
    completed = sum(row.status is ExecutionStatus.COMPLETED for row in left)
    return completed, len(left) - completed
