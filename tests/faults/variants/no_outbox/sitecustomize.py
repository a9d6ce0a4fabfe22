"""Workers that keep no journal of their notifications."""

from unstract_worker_core.ledger.runs import Runs

Runs.journal = lambda self, claim, entries: dict(entries)
