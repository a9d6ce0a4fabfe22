"""Times as the platform writes them. Rows hold seconds since the epoch."""

import time
from datetime import UTC, datetime


def now() -> float:
    """Seconds since the epoch."""
    return time.time()


def zulu(seconds: float) -> str:
    """The form of serialized rows: 2026-05-05T17:03:34.120000Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def offset(seconds: float) -> str:
    """The form of hand-made answers: 2026-05-05T17:03:34.120000+00:00."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")


def zulu_now() -> str:
    """Now, in the form of serialized rows."""
    return zulu(now())


def with_offset(text: str) -> str:
    """A stored serialized time in the form of hand-made answers."""
    return text.removesuffix("Z") + "+00:00" if text.endswith("Z") else text
