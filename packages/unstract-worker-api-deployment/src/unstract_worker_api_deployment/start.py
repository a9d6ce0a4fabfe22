"""Starting an API deployment's execution (contract: flows a): history, rows, batches. Plain steps, repeatable."""

from unstract_worker_core.backend.models import StatusUpdate
from unstract_worker_core.ledger import FileItem, RunTask
from unstract_worker_core.runs import (
    Job,
    Opened,
    Turn,
    Verdict,
    announce,
    arm_files,
    create_rows,
    give_up,
    group_equal,
    if_told,
    mark_executed,
    open_run,
)
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["JOBS", "history_hashes", "start_execution"]


def start_execution(turn: Turn) -> Verdict:
    """From an accepted start message to batches that are ready to be worked on."""
    opened = open_run(turn)
    if not isinstance(opened, Opened):
        return opened
    uploads = opened.message.files
    update = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(uploads))
    over = announce(turn, opened, update, operation="executing")
    if over is not None:
        return over
    items = group_equal(uploads)
    if opened.message.use_file_history:
        items = mark_executed(items, _completed_before(turn, opened, items))
    return arm_files(turn, opened, create_rows(turn, opened, items))


def history_hashes(items: tuple[FileItem, ...]) -> tuple[str, ...]:
    """The contents that may have a history; a refused type has none, whatever stands in its hash."""
    return tuple(item.hash for item in items if item.hash and not item.unsupported)


def _completed_before(turn: Turn, opened: Opened, items: tuple[FileItem, ...]) -> frozenset[str]:
    hashes = history_hashes(items)
    if not hashes:
        return frozenset()
    history, workflow = turn.runtime.backend.history, opened.message.workflow_id
    # Only a hint: whoever works on a file looks its history up again, file by file.
    return if_told(
        lambda: history.check_batch(turn.organization_id, workflow, hashes), frozenset(), what="file history"
    )


JOBS = {RunTask.EXECUTION: Job(step=start_execution, give_up=give_up)}
