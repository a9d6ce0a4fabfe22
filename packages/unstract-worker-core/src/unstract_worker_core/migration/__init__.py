"""Moving traffic from today's workers to ours; all of it can be deleted after the move."""
