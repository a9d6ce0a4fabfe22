"""Kills a worker at each of its named points, and looks in the receivers' history whether anything came of it."""
