"""Which slot the current thread works in, so that whatever it does can count as progress of that slot.

Every step of the ledger marks it; a task that neither steps nor ends is what the watchdog looks for.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["mark_progress", "progressing"]

_current: ContextVar[Callable[[], None] | None] = ContextVar("progress_of_slot", default=None)


@contextmanager
def progressing(mark: Callable[[], None]) -> Iterator[None]:
    """Let `mark_progress` reach this slot while the block runs."""
    token = _current.set(mark)
    try:
        yield
    finally:
        _current.reset(token)


def mark_progress() -> None:
    """The current slot got a step further; nothing outside a slot."""
    mark = _current.get()
    if mark is not None:
        mark()
