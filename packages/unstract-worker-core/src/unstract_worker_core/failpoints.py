"""Named places at which a worker can be made to kill itself, so that tests can show that each of them is safe.

None is enabled outside tests (see `core.config`), and a point that is not enabled costs one comparison. The points are
derived from the tables of what workers do: a new step, effect or doorbell has its own at once.
``python -m unstract_worker_core.failpoints`` lists them, one a line: name, tab, meaning.
"""

import mmap
import os
import signal
import sys
import threading
from collections.abc import Iterator

from attrs import define, field, frozen

from unstract_worker_core.config.parsers import CrashPoint
from unstract_worker_core.errors import ConfigurationError, Fault

_VARIABLE = "WORKER_CRASH_POINT"


@frozen
class Point:
    """A place at which a worker may die: its name and its meaning."""

    name: str
    description: str


_BY_HAND = (
    Point("message.taken", "a message left its queue in Redis, and this process has not seen it yet"),
    Point("task.begun", "a message was taken from the broker, nothing was done yet"),
    Point("task.ended", "a task is done; a message that is acknowledged late is not acknowledged yet"),
    Point("active_files.mark.before", "files were chosen and are not marked as in use"),
    Point("active_files.mark.after", "files are marked as in use and not journalled as chosen"),
    Point("api_results.replace.before", "a run is decided and none of its results is staged"),
    Point("api_results.replace.staged", "all results are staged, the caller's list is not there"),
    Point("api_results.replace.after", "the caller's list is there, the status is not terminal"),
    Point("api_results.push.before", "a chord's file has ended and its API items are not pushed"),
    Point("api_results.push.after", "a chord's API items are pushed and its file's outcome is not recorded"),
    Point("webhook.post.before", "a delivery is about to be posted"),
    Point("webhook.post.after", "a delivery was posted and nothing about it is noted"),
)


@define(eq=False)
class _Armed:
    """Kills once, at the nth time that its point is reached; prefork children and their successors share the count."""

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
    """Report that the point with this name was reached; the parts are joined by dots."""
    if _armed is not None:
        _armed.reached(".".join(name))


def enable(point: CrashPoint | None) -> None:
    """Make this process and its forks die at a point; None: at none. Raises ConfigurationError for an unknown name."""
    global _armed  # noqa: PLW0603 - one per process, so that reaching costs one comparison
    if point is not None and point.name not in {known.name for known in points()}:
        problem = "names no crash point; `python -m unstract_worker_core.failpoints` lists them"
        raise ConfigurationError((Fault(_VARIABLE, problem),))
    _armed = None if point is None else _Armed(point)


def points() -> tuple[Point, ...]:
    """All points."""
    return tuple(_points())


def _points() -> Iterator[Point]:
    # Their modules import this one.
    from unstract_worker_core.backend.operations import effects
    from unstract_worker_core.ledger.store import STEP_NAMES
    from unstract_worker_core.queues import Doorbell

    for step in STEP_NAMES:
        yield from _around(f"ledger.{step}", f"the ledger's step {step}")
    for operation in effects():
        yield from _around(f"backend.{operation.name}", f"the backend's effect {operation.name}")
    for bell in Doorbell:
        yield from _around(f"doorbell.{bell.value}", f"ringing for {bell.value}")
    for step in ("prepare", "send", "conclude"):
        yield from _around(f"executor.{step}", f"a deferred executor's {step}")
    yield from _BY_HAND


def _around(name: str, what: str) -> Iterator[Point]:
    yield Point(f"{name}.before", f"right before {what}")
    yield Point(f"{name}.after", f"right after {what}")


if __name__ == "__main__":
    sys.stdout.writelines(f"{point.name}\t{point.description}\n" for point in points())
