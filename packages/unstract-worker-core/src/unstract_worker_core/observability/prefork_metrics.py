"""Metrics of a prefork worker: its children count into files that the parent adds up when it is asked.

This is prometheus_client's multiprocess mode. The library chooses it when it is imported, by PROMETHEUS_MULTIPROC_DIR,
so the command line sets it before the import, and the imports in this module are late. The library leaves the files of
a child that ended; here they are folded into one, so that counters never fall and the folder does not grow with every
child.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_KEPT = "folded"
_PREFIX, _LOCK = "unstract-worker-metrics-", "lock"


@define(eq=False)
class SharedFolder:
    """The files of one worker and its children, ``<type>_<pid>.db``; a collector for prometheus_client."""

    path: Path
    _lock: threading.Lock = field(factory=threading.Lock)

    @classmethod
    def made_in(cls, parent: str | None) -> "SharedFolder":
        """A new folder, below `parent` or the system's temporary folder; those of killed workers go. Raises OSError."""
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        # Held, by the descriptor, for as long as this process or a child of it lives.
        fcntl.flock(os.open(path / _LOCK, os.O_CREAT | os.O_RDWR, 0o600), fcntl.LOCK_EX)
        for other in path.parent.glob(f"{_PREFIX}*/{_LOCK}"):
            if _abandoned(other):
                shutil.rmtree(other.parent, ignore_errors=True)
        return cls(path)

    def forget_own(self) -> None:
        """In a child, right after the fork: gauges that an earlier process with this pid left are not ours."""
        for file in self.path.glob(f"gauge_live*_{os.getpid()}.db"):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder; at the end of the worker."""
        shutil.rmtree(self.path, ignore_errors=True)

    def collect(self) -> "Iterator[Metric]":
        """All processes' values, added up."""
        from prometheus_client.multiprocess import MultiProcessCollector

        with self._lock:
            self._fold_the_dead()
            files = [str(file) for file in self.path.glob("*.db") if _has_values(file)]
            merged = list(MultiProcessCollector.merge(files))
        yield from merged

    def describe(self) -> "list[Metric]":
        """No metrics: they depend on the files."""
        return []

    def _fold_the_dead(self) -> None:
        for file in self.path.glob("*_*.db"):
            kind, _, owner = file.stem.rpartition("_")
            if owner == _KEPT or _alive(int(owner)):
                continue
            if not kind.startswith("gauge") and _has_values(file):
                self._fold(file, self.path / f"{kind}_{_KEPT}.db")
            file.unlink(missing_ok=True)

    def _fold(self, file: Path, into: Path) -> None:
        from prometheus_client.mmap_dict import MmapedDict

        kept = MmapedDict(str(into))
        try:
            for key, value, stamp, _ in MmapedDict.read_all_values_from_file(str(file)):
                kept.write_value(key, kept.read_value(key)[0] + value, stamp)
        finally:
            kept.close()


def _has_values(file: Path) -> bool:
    # A file is there, empty, for a moment before its owner gives it a size.
    with suppress(OSError):
        return file.stat().st_size > 0
    return False


def _abandoned(lock: Path) -> bool:
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:  # gone meanwhile, or somebody else's
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
