"""Workers without a sweeper: what the broker loses stays lost."""

from unstract_worker_core.ledger.sweeper import Sweeper

Sweeper.start = lambda self: None
