"""Releases of the packages of this repository, each on its own: what is unreleased, versions, changelogs, wheels."""
