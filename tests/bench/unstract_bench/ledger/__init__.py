"""The ledger alone: batches that do nothing, as celery.chord does them, and many open runs for the sweeper."""
