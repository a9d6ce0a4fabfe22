"""Starting an ETL or TASK execution (contract: flows b): files at the source, rows, batches."""

from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.runs import (
    Decision,
    LoadedRun,
    RunSession,
    arm_files,
    create_rows,
    load_run,
    release_marks,
    write_status_once,
)
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_general.before import count_not_relisted, ended_before
from unstract_worker_general.sources import choose_files

__all__ = ["start_execution"]


def start_execution(session: RunSession) -> Decision:
    """From an accepted start message to batches that are ready to be worked on."""
    loaded = load_run(session)
    if not isinstance(loaded, LoadedRun):
        return loaded
    before = ended_before(session, loaded)
    begun = StatusUpdate(status=ExecutionStatus.EXECUTING, attempts=session.claim.attempts + 1)
    over = write_status_once(session, loaded, begun, operation="executing")
    if over is not None:
        return over
    items = choose_files(session, loaded)
    done = count_not_relisted(before, items)
    counted = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(items) + sum(done))
    over = write_status_once(session, loaded, counted, operation="total_files")
    if over is not None:
        return over
    items = create_rows(session, loaded, items)
    release_marks(session)  # the rows protect the files from now on
    return arm_files(session, loaded, items, before=done)
