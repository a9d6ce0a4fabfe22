"""Fan-in alone: batches that do nothing, through the ledger, as celery.chord does them through its result backend."""
