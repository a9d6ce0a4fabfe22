"""Workers that keep no journal of what they have told to whom."""

from unstract_worker_core.ledger.runs import Runs

Runs.note = lambda self, claim, field, value: value
