"""Commands of the tiny worker."""

from tiny_worker.tasks import DEFINITION
from unstract_worker_core.worker.cli import command_line

command_line(DEFINITION)()
