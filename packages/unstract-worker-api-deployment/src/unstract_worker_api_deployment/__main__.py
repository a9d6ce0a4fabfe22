"""The command `unstract-worker-api-deployment`, also as ``python -m unstract_worker_api_deployment``."""

from unstract_worker_core.worker.main import run_commands

__all__ = ["main"]


def main() -> None:
    """Run what the command line asks for."""
    run_commands("unstract_worker_api_deployment.definition")


if __name__ == "__main__":
    main()
