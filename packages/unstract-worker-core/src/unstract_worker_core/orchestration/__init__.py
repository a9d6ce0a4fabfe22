"""What both orchestrators share: accepting, the harness around a step, opening a run, rows, batches."""

from unstract_worker_core.orchestration.accepting import accept_run, accept_start, put_start
from unstract_worker_core.orchestration.attend import Job, answer_bell, attend
from unstract_worker_core.orchestration.dealing import deal, group_equal, mark_executed
from unstract_worker_core.orchestration.meaning import Waits, if_told, in_a_line
from unstract_worker_core.orchestration.opening import Opened, announce, arm_files, ended, give_up, open_run
from unstract_worker_core.orchestration.rows import create_rows
from unstract_worker_core.orchestration.turn import Arm, Close, HandOver, Turn, Verdict, start_of

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
