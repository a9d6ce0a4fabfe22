"""`python -m unstract_devstack.faults`."""

import sys

from unstract_devstack.faults.cli import main

if __name__ == "__main__":
    sys.exit(main())
