"""What a step on a run works with: runtime, session, handler, failure policy, rows, batches, results."""
