"""`python -m unstract_devstack.up`."""

import sys

from unstract_devstack.up.cli import main

sys.exit(main())
