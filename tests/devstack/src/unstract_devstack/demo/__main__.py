"""`python -m unstract_devstack.demo`."""

import sys

from unstract_devstack.demo.cli import main

sys.exit(main())
