"""The command `unstract-worker-callback`, also as ``python -m unstract_worker_callback``."""

from unstract_worker_callback.tasks import DEFINITION
from unstract_worker_core.worker.cli import command_line

main = command_line(DEFINITION)

if __name__ == "__main__":
    main()
