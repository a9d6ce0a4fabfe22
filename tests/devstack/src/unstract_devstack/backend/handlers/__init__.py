"""The views of the internal API, one module per group."""
