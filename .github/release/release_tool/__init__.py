"""Releases of the packages of this repository, each on its own: what is unreleased, versions, wheels, checks."""

__all__: list[str] = []
