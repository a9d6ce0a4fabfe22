"""The command `unstract-worker-callback`, also as ``python -m unstract_worker_callback``."""

from unstract_worker_core.worker.main import run_commands

__all__ = ["main"]


def main() -> None:
    """Run what the command line asks for."""
    run_commands("unstract_worker_callback.definition")


if __name__ == "__main__":
    main()
