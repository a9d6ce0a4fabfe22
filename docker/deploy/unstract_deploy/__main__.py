"""``python -m unstract_deploy``; docker/deploy.sh starts it."""

import sys

from unstract_deploy.command import main

if __name__ == "__main__":
    sys.exit(main())
