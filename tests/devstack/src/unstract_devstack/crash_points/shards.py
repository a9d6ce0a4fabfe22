"""Fleets side by side: each in a process of its own, which gets numbers of trials and answers with verdicts."""

import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cattrs
from attrs import asdict, define, field

from unstract_devstack.crash_points.ground import open_ground
from unstract_devstack.crash_points.places import AS_REAL, KEYED, Trial
from unstract_devstack.crash_points.trial import Bench, Verdict
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError


def serve(trials: Sequence[Trial], mode: str) -> None:
    """In a fleet's process: make the trials whose numbers come in, until there are no more."""
    with tempfile.TemporaryDirectory(prefix="crash-points-") as folder, open_ground(Path(folder), mode) as ground:
        bench = Bench(ground)
        for line in sys.stdin:
            trial = trials[int(line)]
            try:
                verdict = bench.make(trial)
            except (AssertionError, CallFailed, ProcessError) as error:  # the others have nothing to do with it
                verdict = Verdict(
                    str(trial), trial.point, reached=False, problems=(f"{type(error).__name__}: {error}",)
                )
            sys.stdout.write(json.dumps(asdict(verdict)) + "\n")
            sys.stdout.flush()


@define
class Shards:
    """Makes all trials on so many fleets. `report` gets each verdict as it comes.

    After `ends` (monotonic clock; None: there is no end) no trial is begun: those left have no verdict.
    """

    trials: Sequence[Trial]
    report: Callable[[Verdict], None]
    ends: float | None = None
    _waiting: dict[str, "queue.SimpleQueue[int]"] = field(factory=dict, init=False)
    _verdicts: dict[int, Verdict] = field(factory=dict, init=False)
    _reporting: threading.Lock = field(factory=threading.Lock, init=False)

    def run(self, fleets: int, command: Sequence[str]) -> list[Verdict]:
        """The verdicts in the order of the trials. `command` starts a process that serves, given ``--serve mode``.

        Left out are trials that were not begun in time; one whose fleet ended before it came to it went wrong.
        """
        self._waiting = {mode: queue.SimpleQueue() for mode in (KEYED, AS_REAL)}
        for number, trial in enumerate(self.trials):
            self._waiting[trial.mode].put(number)
        # The first begins with the smaller part, so that none waits for it at the end.
        orders = [(AS_REAL, KEYED), *([(KEYED, AS_REAL)] * (fleets - 1))]
        threads = [threading.Thread(target=self._work, args=(order, command), daemon=True) for order in orders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._over():
            return [self._verdicts[number] for number in sorted(self._verdicts)]
        return [self._verdicts.get(number) or _missing(trial) for number, trial in enumerate(self.trials)]

    def _over(self) -> bool:
        return self.ends is not None and time.monotonic() >= self.ends

    def _work(self, modes: Sequence[str], command: Sequence[str]) -> None:
        for mode in modes:
            if not self._waiting[mode].empty():
                self._fleet(mode, [*command, "--serve", mode])

    def _fleet(self, mode: str, command: Sequence[str]) -> None:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            while (number := self._next(mode)) is not None:
                process.stdin.write(f"{number}\n")
                process.stdin.flush()
                line = process.stdout.readline()
                with self._reporting:
                    self._verdicts[number] = (
                        cattrs.structure(json.loads(line), Verdict) if line else _missing(self.trials[number])
                    )
                    self.report(self._verdicts[number])
                if not line:
                    break  # it said why on stderr; its trial counts as wrong, another fleet goes on
            process.stdin.close()

    def _next(self, mode: str) -> int | None:
        if self._over():
            return None
        try:
            return self._waiting[mode].get_nowait()
        except queue.Empty:
            return None


def _missing(trial: Trial) -> Verdict:
    return Verdict(str(trial), trial.point, reached=False, problems=("its fleet ended before it was tried",))
