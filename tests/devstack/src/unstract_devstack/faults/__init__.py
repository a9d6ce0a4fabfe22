"""Breaks the running fleet on purpose and counts, from the receivers' own history, what was lost or done twice."""
