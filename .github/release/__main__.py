# ruff: noqa: INP001 - a folder that is run, not a package
"""`python .github/release COMMAND`: see `--help`, and README.md here for how a release goes."""

import sys
from pathlib import Path

# The commands that try what was built are tests.
sys.path.append(str(Path(__file__).parents[2] / "tests" / "release"))

from release_tool.cli import main
from wheel_trials.commands import COMMANDS

if __name__ == "__main__":
    main(COMMANDS)
