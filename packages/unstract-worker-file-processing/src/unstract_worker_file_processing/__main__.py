"""The command `unstract-worker-file-processing`, also as ``python -m unstract_worker_file_processing``."""

from unstract_worker_core.worker.main import run_commands

__all__ = ["main"]


def main() -> None:
    """Run what the command line asks for."""
    run_commands("unstract_worker_file_processing.definition")


if __name__ == "__main__":
    main()
