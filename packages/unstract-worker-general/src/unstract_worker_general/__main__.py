"""The command `unstract-worker-general`, also as ``python -m unstract_worker_general``."""

from unstract_worker_core.worker.main import run_commands

__all__ = ["main"]


def main() -> None:
    """Run what the command line asks for."""
    run_commands("unstract_worker_general.definition")


if __name__ == "__main__":
    main()
