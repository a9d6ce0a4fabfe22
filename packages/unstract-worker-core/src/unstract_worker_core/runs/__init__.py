"""What both orchestrators share: accepting, the harness around a step, opening a run, rows, batches."""

from unstract_worker_core.runs.accepting import accept_run, accept_start, put_start
from unstract_worker_core.runs.batching import deal, group_equal, mark_executed
from unstract_worker_core.runs.failure_policy import Waits, if_told, in_a_line
from unstract_worker_core.runs.rows import create_rows
from unstract_worker_core.runs.run_handler import Job, answer_bell, attend
from unstract_worker_core.runs.session import Arm, Close, HandOver, Turn, Verdict, start_of
from unstract_worker_core.runs.start import Opened, announce, arm_files, ended, give_up, open_run

__all__ = [
    "Arm",
    "Close",
    "HandOver",
    "Job",
    "Opened",
    "Turn",
    "Verdict",
    "Waits",
    "accept_run",
    "accept_start",
    "announce",
    "answer_bell",
    "arm_files",
    "attend",
    "create_rows",
    "deal",
    "ended",
    "give_up",
    "group_equal",
    "if_told",
    "in_a_line",
    "mark_executed",
    "open_run",
    "put_start",
    "start_of",
]
