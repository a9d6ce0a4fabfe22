"""The command `unstract-worker-general`, also as ``python -m unstract_worker_general``."""

from unstract_worker_core.worker.cli import command_line
from unstract_worker_general.tasks import DEFINITION

main = command_line(DEFINITION)

if __name__ == "__main__":
    main()
