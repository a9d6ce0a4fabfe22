"""Memory and CPU time of a process and its descendants. Linux only."""

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

MIB = 1024 * 1024
PAUSE, MOST_READINGS, STEADY = 0.5, 8, 0.005


def pss_mib(pid: int) -> float:
    """Proportional set size of the tree in MiB: shared pages are divided among those that share them."""
    return _sum(pid, lambda process: process.memory_full_info().pss / MIB)


def peak_mib(pid: int) -> float:
    """The largest resident size that the processes of the tree had, in MiB."""
    return _sum(pid, _largest_mib)


def settled_pss_mib(pids: Sequence[int]) -> tuple[float, ...]:
    """As `pss_mib` for several trees, once two readings of all differ by less than half a per cent, or after eight."""
    last = tuple(map(pss_mib, pids))
    for _ in range(MOST_READINGS):
        time.sleep(PAUSE)
        now = tuple(map(pss_mib, pids))
        if abs(sum(last) - sum(now)) <= STEADY * sum(now):
            return now
        last = now
    return last


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, in seconds; a child that ended counts for its parent."""
    return _sum(pid, lambda process: sum(process.cpu_times()[:4]))


def _sum(pid: int, cost: Callable[[psutil.Process], float]) -> float:
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):  # ended in between
                total += cost(each)
    return total


def _largest_mib(process: psutil.Process) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8"))
    return int(found.group(1)) / 1024 if found else 0.0
