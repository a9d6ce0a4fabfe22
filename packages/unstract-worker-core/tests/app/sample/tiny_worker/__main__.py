"""Commands of the tiny worker."""

from unstract_worker_core.app.main import run_commands

run_commands("tiny_worker.definition")
