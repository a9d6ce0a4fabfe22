"""Workers that keep no journal of what they have told to whom."""

from unstract_worker_core.ledger.runs import Runs

Runs.journal = lambda self, claim, entries: dict(entries)
