"""P1 to P12, measured on real processes. A module has the measures that share a set-up."""
