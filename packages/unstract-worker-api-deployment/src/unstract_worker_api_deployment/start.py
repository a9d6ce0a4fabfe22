"""Starts an API deployment's execution (contract: flows a): file history, rows, batches. Every step can be repeated."""

from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.ledger import FileItem, RunTask
from unstract_worker_core.runs.failure_policy import get_optional
from unstract_worker_core.runs.rows import ASKED_FOR, create_rows
from unstract_worker_core.runs.run_handler import Job
from unstract_worker_core.runs.session import Decision, RunSession
from unstract_worker_core.runs.start import (
    LoadedRun,
    arm_files,
    deduplicate,
    give_up,
    mark_executed,
    open_run,
    write_status_once,
)
from unstract_worker_core.statuses import ExecutionStatus


def start_execution(session: RunSession) -> Decision:
    """From an accepted start message to batches that are ready to be worked on."""
    loaded = open_run(session)
    if isinstance(loaded, LoadedRun):
        update = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(loaded.message.files))
        loaded = write_status_once(session, loaded, update, operation="executing", notes=ASKED_FOR)
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = deduplicate(loaded.message.files)
    if loaded.message.use_file_history:
        items = mark_executed(items, _completed_before(session, loaded, items))
    return arm_files(session, loaded, create_rows(session, loaded, items))


def history_hashes(items: tuple[FileItem, ...]) -> tuple[str, ...]:
    """The hashes that may have a history. The hash of a file whose type was refused is not that of its content."""
    return tuple(item.hash for item in items if item.hash and not item.unsupported)


def _completed_before(session: RunSession, loaded: LoadedRun, items: tuple[FileItem, ...]) -> frozenset[str]:
    hashes = history_hashes(items)
    if not hashes:
        return frozenset()
    history, workflow = session.runtime.backend.history, loaded.message.workflow_id
    # Only a hint: the file-processing worker looks up the history of each file again.
    return get_optional(
        lambda: history.check_batch(session.organization_id, workflow, hashes), frozenset(), what="file history"
    )


JOBS = {RunTask.EXECUTION: Job(step=start_execution, give_up=give_up)}
