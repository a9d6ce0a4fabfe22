"""What both orchestrators share: accepting, the harness around a step, opening a run, rows, batches."""

from unstract_worker_core.runs.batching import deduplicate, mark_executed, split
from unstract_worker_core.runs.failure_policy import RetryDelays, get_optional, is_permanent, reason_of
from unstract_worker_core.runs.files_in_use import active_file, files_in_use, mark_files, release_marks
from unstract_worker_core.runs.rows import create_rows
from unstract_worker_core.runs.run_handler import (
    Job,
    accept_run,
    accept_start,
    handle_doorbell,
    handle_run,
    put_start,
    release_run,
)
from unstract_worker_core.runs.session import Arm, Close, Decision, Release, RunSession, start_of
from unstract_worker_core.runs.start import (
    LoadedRun,
    arm_files,
    decision_if_terminal,
    give_up,
    load_run,
    open_run,
    write_status_once,
)

__all__ = [
    "Arm",
    "Close",
    "Decision",
    "Job",
    "LoadedRun",
    "Release",
    "RetryDelays",
    "RunSession",
    "accept_run",
    "accept_start",
    "active_file",
    "arm_files",
    "create_rows",
    "decision_if_terminal",
    "deduplicate",
    "files_in_use",
    "get_optional",
    "give_up",
    "handle_doorbell",
    "handle_run",
    "is_permanent",
    "load_run",
    "mark_executed",
    "mark_files",
    "open_run",
    "put_start",
    "reason_of",
    "release_marks",
    "release_run",
    "split",
    "start_of",
    "write_status_once",
]
