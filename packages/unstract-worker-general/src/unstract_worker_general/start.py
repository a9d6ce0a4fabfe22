"""Starting an ETL or TASK execution (contract: flows b): files at the source, rows, batches."""

from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.runs import (
    Decision,
    LoadedRun,
    RunSession,
    arm_files,
    create_rows,
    give_up,
    load_run,
    release_marks,
    start_of,
    validate_tools,
    write_status_once,
)
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_general.before import count_not_relisted, ended_before
from unstract_worker_general.sources import choose_files

__all__ = ["start_execution"]


def start_execution(session: RunSession) -> Decision:
    """From an accepted start message to batches that are ready to be worked on."""
    message = start_of(session.claim)
    problem = validate_tools(session, message)
    if problem is not None:
        return give_up(session, problem)
    loaded = load_run(session, message)
    if not isinstance(loaded, LoadedRun):
        return loaded
    session.log_to_ui(loaded.context.log_channel, "Execution is being started.")
    before = ended_before(session, loaded)
    begun = StatusUpdate(status=ExecutionStatus.EXECUTING, attempts=session.claim.attempts + 1)
    loaded = write_status_once(session, loaded, begun, operation="executing")
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = choose_files(session, loaded)
    loaded = load_run(session, message)  # listing takes its time: a stop that came meanwhile must not be replaced
    if not isinstance(loaded, LoadedRun):
        return loaded
    done = count_not_relisted(before, items)
    counted = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(items) + sum(done))
    loaded = write_status_once(session, loaded, counted, operation="total_files")
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = create_rows(session, loaded, items)
    release_marks(session)  # the rows protect the files from now on
    return arm_files(session, loaded, items, before=done)
