"""Lists the crash points: ``python -m unstract_worker_core.failpoints``, one a line, its name and what lies there."""

import sys

from unstract_worker_core.failpoints.registry import POINTS


def main() -> None:
    """Print a line for each point: name, tab, description."""
    sys.stdout.writelines(f"{point.name}\t{point.description}\n" for point in POINTS)


if __name__ == "__main__":
    main()
