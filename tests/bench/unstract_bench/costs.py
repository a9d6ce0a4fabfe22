"""What a process and everything it started cost: memory (PSS) and CPU time, from /proc. Linux only."""

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from unstract_devstack.processes import descendants

__all__ = ["MIB", "cpu_seconds", "pss_mib", "settled_pss_mib"]

MIB = 1024 * 1024
_PSS = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS, _MOST_LOOKS, _STEADY = 0.5, 8, 0.005


def pss_mib(pid: int) -> float:
    """Proportional set size of the tree in MiB: shared pages are divided among those that share them."""
    return sum(_pss_kib(each) for each in _tree(pid)) / 1024


def settled_pss_mib(pids: Sequence[int]) -> tuple[float, ...]:
    """As `pss_mib` for several trees, once two looks at all differ by less than half a per cent (or after eight)."""
    last = tuple(map(pss_mib, pids))
    for _ in range(_MOST_LOOKS):
        time.sleep(_LOOK_SECONDS)
        now = tuple(map(pss_mib, pids))
        if abs(sum(last) - sum(now)) <= _STEADY * sum(now):
            return now
        last = now
    return last


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, in seconds; a child that ended counts for its parent."""
    return sum(_ticks(each) for each in _tree(pid)) / _TICKS


def _tree(pid: int) -> tuple[int, ...]:
    return (pid, *descendants(pid))


def _pss_kib(pid: int) -> int:
    found = _PSS.search(_read(pid, "smaps_rollup"))
    return int(found.group(1)) if found else 0


def _ticks(pid: int) -> int:
    # After the name in brackets, which may hold anything: state is field 3, utime and stime are 14 and 15,
    # those of children that were waited for 16 and 17.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15])


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(encoding="utf-8", errors="replace")
    except OSError:  # ended in between
        return ""
