"""What stands in the way of a release."""

__all__ = ["ReleaseError"]


class ReleaseError(Exception):
    """A release cannot go on; the message says what is wrong, where, and what to do."""
