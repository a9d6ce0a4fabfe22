"""The command `unstract-worker-general`, also as ``python -m unstract_worker_general``."""

from unstract_worker_general.definition import DEFINITION
from unstract_worker_core.app.cli import command_line

__all__ = ["main"]

main = command_line(DEFINITION)

if __name__ == "__main__":
    main()
