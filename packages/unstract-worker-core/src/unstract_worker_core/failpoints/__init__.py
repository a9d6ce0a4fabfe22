"""Named places at which a worker can be made to kill itself, so that tests can show that each of them is safe.

None is enabled outside tests (see `core.config`), and a point that is not enabled costs one comparison.
"""

import mmap
import os
import signal
import threading

from attrs import define, field

from unstract_worker_core.config.parsers import CrashPoint
from unstract_worker_core.errors import ConfigurationError, Fault

__all__ = ["enable", "hit"]

_VARIABLE = "WORKER_CRASH_POINT"


@define(eq=False)
class _Armed:
    """Kills at the nth time that its point is reached, once: prefork children share the count with those after them."""

    point: CrashPoint
    _reached: mmap.mmap = field(factory=lambda: mmap.mmap(-1, 1))
    _guard: threading.Lock = field(factory=threading.Lock)

    def reached(self, name: str) -> None:
        if name != self.point.name:
            return
        with self._guard:
            if self._reached[0] == 255:
                return
            self._reached[0] += 1
            if self._reached[0] == self.point.nth:
                self._kill()

    def _kill(self) -> None:
        # Straight to the descriptor: nothing of this process is flushed any more.
        os.write(2, f"crash point {self.point.name} reached: SIGKILL\n".encode())
        if self.point.group:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # never returns: not one more step is taken


_armed: _Armed | None = None


def hit(*name: str) -> None:
    """Say that the place with this name (its parts are joined by dots) was reached."""
    if _armed is not None:
        _armed.reached(".".join(name))


def enable(point: CrashPoint | None) -> None:
    """Have this process and its forks die at a point; None disarms. Raises ConfigurationError for an unknown name."""
    global _armed  # noqa: PLW0603 - one per process, so that reaching costs one comparison
    if point is not None:
        from unstract_worker_core.failpoints.registry import POINTS  # imports the modules that hit points

        if point.name not in {known.name for known in POINTS}:
            problem = "names no crash point; `python -m unstract_worker_core.failpoints` lists them"
            raise ConfigurationError((Fault(_VARIABLE, problem),))
    _armed = None if point is None else _Armed(point)
