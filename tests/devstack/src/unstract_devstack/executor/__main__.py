"""The executor's process: ``python -m unstract_devstack.executor``, told all by its environment."""

import os
import sys

from unstract_devstack.executor.worker import Settings, make_app


def main() -> int:
    """Serve until a signal."""
    settings = Settings.of(dict(os.environ))
    app = make_app(settings)
    arguments = ["worker", "--pool", "threads", "--concurrency", str(settings.concurrency), "--loglevel", "INFO"]
    app.worker_main([*arguments, "--without-gossip", "--without-mingle", "--hostname", f"executor-{os.getpid()}@%h"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
