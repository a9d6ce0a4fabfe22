"""`hatch run monitoring:check`: 0 where all holds, 1 with what does not."""

import sys

from unstract_devstack.monitoring.checking import MonitoringFault, check

try:
    for line in check():
        sys.stdout.write(f"ok: {line}\n")
except MonitoringFault as fault:
    sys.stderr.write(f"{fault}\n")
    raise SystemExit(1) from None
