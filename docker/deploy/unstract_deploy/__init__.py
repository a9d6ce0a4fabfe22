"""Rolls the workers out on one machine, one container at a time, and back if the new ones do not get ready.

It runs where nothing but Python 3.11 and a container engine is installed, so it uses the standard library alone.
"""

__all__ = ["DeployFailed", "Refused"]


class DeployFailed(Exception):
    """The engine refused, or a worker did not get ready; the message says which and why."""


class Refused(Exception):
    """The environment file or a secret is at fault; nothing was touched. One problem an argument."""
