"""How a process wakes its drain thread and how prefork children hear of their parent's end: pipes.

A signal handler may only write a byte: anything with a lock could wait for the very code that it interrupted.
"""

import os
import select
from contextlib import suppress

from attrs import define, field

__all__ = ["Lifeline", "Wake"]


@define
class Wake:
    """A pipe to oneself."""

    _read: int = field(init=False)
    _write: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def notify(self) -> None:
        """Wake whoever waits; safe in a signal handler."""
        with suppress(BlockingIOError):  # full: it was woken often enough
            os.write(self._write, b".")

    def wait(self, seconds: float | None, *others: int) -> bool:
        """Wait for a notice, or for one of the other descriptors to close; False after the time."""
        ready, _, _ = select.select([self._read, *others], [], [], seconds)
        if self._read in ready:
            os.read(self._read, 1)
        return bool(ready)


@define
class Lifeline:
    """Made by the parent before it forks: it cuts the line on purpose or by dying, and every child notices."""

    read: int = field(init=False)
    _write: int | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.read, self._write = os.pipe()

    def cut(self) -> None:
        """Close this process's end: the parent to tell its children, a child so that only the parent holds it."""
        if self._write is not None:
            os.close(self._write)
            self._write = None
