"""A small live page of a stack that is up: executions, files, events, deliveries and the ledger.

Rendered here, so that it works without scripts; with them, what changed is swapped in as it happens. It only reads,
but for the buttons that start an example run.
"""

from unstract_devstack.page.server import PageHandle, running_page
from unstract_devstack.page.sources import Sources

__all__ = ["PageHandle", "Sources", "running_page"]
