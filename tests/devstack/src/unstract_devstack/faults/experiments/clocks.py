"""R23: workers whose clocks are wrong and jump."""

from pathlib import Path

from unstract_devstack.faults.experiments import aiming
from unstract_devstack.faults.load import Feeder, new_tenant
from unstract_devstack.faults.registry import AS_REAL, Trial, experiment
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, GENERAL, running_fleet
from unstract_devstack.processes import wait_until

# Loaded by the interpreter of each such worker: its clock is as many seconds off as the file says, from then on.
MOVED_CLOCK = """\
import os
import sys
import threading
import time

import time_machine

_monotonic = time.monotonic
_pause = threading.Event()
_clock = time_machine.travel(time.time(), tick=True).start()


def _follow(path):
    off = 0.0
    while not _pause.wait(0.1):
        try:
            wanted = float(open(path).read())
        except (OSError, ValueError):
            continue
        if wanted != off:
            _clock.shift(wanted - off)
            off = wanted
            print(f"clock moved: now {wanted:+.0f} s off", file=sys.stderr, flush=True)


threading.Thread(target=_follow, args=(os.environ["HARNESS_CLOCK"],), daemon=True).start()
"""
JUMPS = (3600.0, -3600.0, 0.0)


@experiment("R23", modes=(AS_REAL,))
def wrong_clocks(trial: Trial) -> None:
    """Half of the workers' clocks jump an hour ahead, two back, and are right again, under load: no effect.

    The clock is injected into the interpreter (time and datetime; the monotonic clock goes on, as after a real jump).
    """
    arena, folder = trial.arena, trial.arena.directory / "clocks"
    path = aiming.python_path(folder, sitecustomize=MOVED_CLOCK)
    clock = folder / "seconds"
    clock.write_text("0")
    moved = {**arena.environment, "PYTHONPATH": path, "HARNESS_CLOCK": str(clock)}
    with running_fleet(moved, folder, kinds=(API_DEPLOYMENT, GENERAL, FILE_PROCESSING, CALLBACK)) as fleet:
        feeder = Feeder(new_tenant(arena), trial.seed, 16, 12.0)
        feeder.start()
        for off in JUMPS:
            aiming.pause(3.0)
            arena.trace.fault("clock_jump", f"to {off:+.0f} s")
            _write(clock, off)
            said = f"now {off:+.0f} s off"
            logs = [worker.process.log_path for worker in fleet.workers.values()]
            jumped = wait_until(lambda logs=logs, said=said: all(said in log.read_text() for log in logs), seconds=20)  # type: ignore[misc]
            trial.check(jumped, f"a clock did not jump to {off:+.0f} s")
        judged = trial.settle(*feeder.join())
    trial.check_once(judged)


def _write(path: Path, seconds: float) -> None:
    whole = path.with_suffix(".new")
    whole.write_text(str(seconds))
    whole.replace(path)
