"""Starts an ETL or TASK execution (contract: flows b): its files, rows, batches. Every step can be repeated."""

from collections.abc import Iterable, Sequence

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.runs import (
    Decision,
    LoadedRun,
    RunSession,
    arm_files,
    create_rows,
    load_run,
    open_run,
    release_marks,
    write_status_once,
)
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_general.sources import choose_files

__all__ = ["start_execution"]

_ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR)


def start_execution(session: RunSession) -> Decision:
    """From an accepted start message to batches that are ready to be worked on."""
    loaded = open_run(session)
    if not isinstance(loaded, LoadedRun):
        return loaded
    ended = _ended_in_lost_run(session, loaded)
    executing = StatusUpdate(status=ExecutionStatus.EXECUTING, attempts=session.claim.attempts + 1)
    loaded = write_status_once(session, loaded, executing, operation="executing")
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = choose_files(session, loaded)
    loaded = load_run(session, loaded.message)  # a stop during the listing must not be replaced by EXECUTING
    if not isinstance(loaded, LoadedRun):
        return loaded
    before = _count_not_relisted(ended, items)
    counted = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(items) + sum(before))
    loaded = write_status_once(session, loaded, counted, operation="total_files")
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = create_rows(session, loaded, items)
    release_marks(session)  # the rows protect the files from now on
    return arm_files(session, loaded, items, before=before)


def _ended_in_lost_run(session: RunSession, loaded: LoadedRun) -> Sequence[FileExecution]:
    """Rows of files that ended in a run of this execution that the ledger lost.

    Such an execution is EXECUTING although no attempt of this run wrote that. Its source lists only what is left, but
    what ended before counts all the same.
    """
    noted = session.journal_get("before")
    if noted is None:
        if loaded.execution.status is not ExecutionStatus.EXECUTING or session.journal_get("executing") is not None:
            return ()
        rows = session.runtime.backend.files.list(session.organization_id, loaded.message.execution_id)
        ended = [serialization.unstructure(row) for row in rows if row.status in _ENDED]
        noted = session.journal_put("before", serialization.dumps(ended))
    return tuple(serialization.structure(entry, FileExecution) for entry in serialization.loads(noted))


def _count_not_relisted(rows: Sequence[FileExecution], items: Iterable[FileItem]) -> tuple[int, int]:
    """How many of the rows completed and failed, without those of files that are worked on again."""
    again = {(item.path, item.provider_file_uuid or "") for item in items} if rows else set()
    left = [row for row in rows if (row.file_path, row.provider_file_uuid or "") not in again]
    completed = sum(row.status is ExecutionStatus.COMPLETED for row in left)
    return completed, len(left) - completed
