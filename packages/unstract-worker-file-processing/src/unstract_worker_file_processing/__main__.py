"""The command `unstract-worker-file-processing`, also as ``python -m unstract_worker_file_processing``."""

from unstract_worker_core.worker.cli import command_line
from unstract_worker_file_processing.tasks import DEFINITION

main = command_line(DEFINITION)

if __name__ == "__main__":
    main()
