"""The command `unstract-worker-api-deployment`, also as ``python -m unstract_worker_api_deployment``."""

from unstract_worker_api_deployment.tasks import DEFINITION
from unstract_worker_core.worker.cli import command_line

main = command_line(DEFINITION)

if __name__ == "__main__":
    main()
