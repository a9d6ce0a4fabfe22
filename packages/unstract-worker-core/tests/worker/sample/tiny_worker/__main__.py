"""Commands of the tiny worker."""

from unstract_worker_core.worker.main import run_commands

run_commands("tiny_worker.definition")
