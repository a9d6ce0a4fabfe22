"""Tries what was built: tests against installed wheels, installations, mixed fleets, what the package index serves."""

__all__: list[str] = []
