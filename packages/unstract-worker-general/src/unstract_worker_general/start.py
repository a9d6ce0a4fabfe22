"""Starting an ETL or TASK execution (contract: flows b): files at the source, rows, batches."""

from unstract_worker_core.backend.models import StatusUpdate
from unstract_worker_core.runs import (
    Opened,
    Turn,
    Verdict,
    announce,
    arm_files,
    create_rows,
    open_run,
)
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_general.before import ended_before, not_among
from unstract_worker_general.sources import chosen_files

__all__ = ["start_execution"]


def start_execution(turn: Turn) -> Verdict:
    """From an accepted start message to batches that are ready to be worked on."""
    opened = open_run(turn)
    if not isinstance(opened, Opened):
        return opened
    before = ended_before(turn, opened)
    begun = StatusUpdate(status=ExecutionStatus.EXECUTING, attempts=turn.claim.attempts + 1)
    over = announce(turn, opened, begun, operation="executing")
    if over is not None:
        return over
    items = chosen_files(turn, opened)
    done = not_among(before, items)
    counted = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(items) + sum(done))
    over = announce(turn, opened, counted, operation="total_files")
    if over is not None:
        return over
    return arm_files(turn, opened, create_rows(turn, opened, items), before=done)
