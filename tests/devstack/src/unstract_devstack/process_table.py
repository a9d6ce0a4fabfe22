"""Which processes there are: what a test looks at to show that none was left behind. Linux only for descendants."""

import os
from collections.abc import Iterator
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process with this pid runs; one that has ended and was not yet reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = _state(pid)
    return state is None or state[0] != "Z"


def descendants(pid: int) -> frozenset[int]:
    """The pids of everything that `pid` started, directly or not."""
    parents = dict(_parents())
    found: set[int] = set()
    last: set[int] = {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last}
        found |= last
    return frozenset(found)


def _parents() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").glob("[0-9]*"):
        state = _state(int(entry.name))
        if state is not None:
            yield int(entry.name), int(state[1])


def _state(pid: int) -> list[str] | None:
    """State and parent of a process, None where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
