"""`python -m unstract_bench`."""

import sys

from unstract_bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
