"""Fleets side by side, each in a process of its own that makes one trial after the other."""

import atexit
import contextlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import define, field

from unstract_devstack.crash_points.bench import Bench, Verdict, open_bench
from unstract_devstack.crash_points.places import Trial
from unstract_devstack.faults.checker import AS_REAL
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError, end_with_parent

SILENT_SECONDS = 600.0
"""A trial, with the same scenario without a kill before it, is over by then."""


@define
class _Fleet:
    """The fleet of this process, on a backend in the mode of the last trial, in a folder of its own in `directory`."""

    directory: Path = Path()
    ends: float | None = None
    parts: contextlib.ExitStack = field(factory=contextlib.ExitStack)
    mode: str = ""
    bench: Bench | None = None

    def of_mode(self, mode: str) -> Bench:
        if self.bench is None or self.mode != mode:
            self.parts.close()
            self.bench, self.mode = None, mode
            folder = self.directory / f"{mode}-{os.getpid()}"
            folder.mkdir()
            self.bench = self.parts.enter_context(open_bench(folder, mode))
        return self.bench


_FLEET = _Fleet()


def _begin(directory: Path, ends: float | None) -> None:
    end_with_parent()
    _FLEET.directory, _FLEET.ends = directory, ends
    atexit.register(_FLEET.parts.close)


def _make(trial: Trial) -> Verdict | None:
    """The verdict on a trial; None if there is no time left for it."""
    if _FLEET.ends is not None and time.monotonic() >= _FLEET.ends:
        return None
    try:
        verdict = _FLEET.of_mode(trial.mode).make(trial)
    except (AssertionError, CallFailed, ProcessError) as error:  # the others have nothing to do with it
        verdict = Verdict.missing(trial, f"{type(error).__name__}: {error}")
    sys.stderr.write(f"{verdict}\n")
    return verdict


def verdicts_on(trials: Sequence[Trial], directory: Path, *, fleets: int, ends: float | None) -> Iterator[Verdict]:
    """The verdict on each trial, made on so many fleets; the one that a dying fleet had is wrong.

    The first fleet begins with those on a backend that ignores keys, which are few; the others have none of them. After
    `ends` (monotonic clock; None: there is no end) no trial is begun: those left have no verdict.
    """
    ordered = sorted(trials, key=lambda trial: trial.mode != AS_REAL)
    share = max(sum(trial.mode == AS_REAL for trial in trials), -(-len(trials) // fleets))
    late = False
    with contextlib.ExitStack() as parts:
        pools, under_way = [], {}
        for number, part in ((1, ordered[:share]), (fleets - 1, ordered[share:])):
            if part:
                pool = multiprocessing.get_context("spawn").Pool(number, _begin, (directory, ends))
                pools.append(parts.enter_context(pool))
                under_way.update({trial: pool.apply_async(_make, (trial,)) for trial in part})
        for trial in trials:
            try:
                verdict = under_way[trial].get(SILENT_SECONDS)
            except multiprocessing.TimeoutError:
                verdict, late = Verdict.missing(trial, "its fleet ended before it was tried"), True
            if verdict is not None:
                yield verdict
        for pool in pools:
            pool.close()
            if not late:
                pool.join()  # each fleet ends in good order
