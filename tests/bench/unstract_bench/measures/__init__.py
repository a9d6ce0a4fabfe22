"""P1 to P12, each by the real processes. A module makes the measures that share what they need."""
