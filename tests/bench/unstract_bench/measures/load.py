"""P4 and P5: the usual load through the real path, beside bare Celery, dramatiq and taskiq.

All runners are up. Those that are not measured are stopped (SIGSTOP), so that each runner has the same cores.
P4's wall is the phase of the files as the double sees it: from the orchestrator's last call to the callback worker's
first, arming, doorbells, leases and the last outcome included.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

from attrs import define

from unstract_bench.costs import cpu_seconds, pss_mib
from unstract_bench.figures import Bar, Figure, Measure, Samples
from unstract_bench.rig import Rig, running_rig, running_workers
from unstract_bench.rounds import Setting
from unstract_bench.runners import Runner, bare_celery, dramatiq, running, split, taskiq
from unstract_bench.workload import BATCHES, CALLS_A_FILE, FILES, Load
from unstract_devstack.fleet import FILE_PROCESSING, Fleet
from unstract_devstack.processes import ManagedProcess

BARE = bare_celery(BATCHES)
RUNNERS = (BARE, dramatiq(BATCHES), taskiq(BATCHES))
PREFORK = bare_celery(4, pool="prefork")
IDEAL = "wall / ideal"


@define
class _Field:
    """The runners that are up."""

    rig: Rig
    fleet: Fleet
    runners: dict[Runner, ManagedProcess]

    @contextlib.contextmanager
    def alone(self, moving: Runner | None = None, *, workers: bool = False) -> Iterator[None]:
        """Only this runner moves, or only the workers."""
        with contextlib.ExitStack() as still:
            for other, process in self.runners.items():
                if other != moving:
                    still.enter_context(process.frozen())
            for worker in () if workers else self.fleet.workers.values():
                still.enter_context(worker.process.frozen())
            yield


def load_measures(setting: Setting) -> tuple[Measure, ...]:
    """P4 and P5."""
    runners = RUNNERS if setting.short else (*RUNNERS, PREFORK)
    samples = Samples()
    with contextlib.ExitStack() as parts:
        rig = parts.enter_context(running_rig(setting.directory / "load"))
        fleet = parts.enter_context(running_workers(rig, file_slots=BATCHES))
        field = _Field(rig, fleet, {each: parts.enter_context(running(rig, each)) for each in runners})

        def once(into: Samples = samples) -> None:
            setting.report("load: the real path, then " + ", ".join(each.name for each in runners))
            _ceiling(field, into)
            _ours(field, into)
            for runner in runners:
                _theirs(field, into, runner)

        # The whole load, for all alike: threads, connections and memory are there then. A smaller one leaves the first
        # round that counts a tenth slower than those after it.
        once(Samples())
        setting.repeat(once, lambda: (*_p4(samples), *_p5(samples)))
    return (
        Measure("P4", f"{FILES:,} files through the real path, {BATCHES} in flight, over bare Celery", _p4(samples)),
        Measure("P5", "CPU of the file-processing worker in P4, over bare Celery's", _p5(samples)),
    )


def _ours(field: _Field, samples: Samples) -> None:
    load, rig = Load(), field.rig
    pids = {"ours": field.fleet.of(FILE_PROCESSING)[0].process.pid, "double": rig.double.process.pid}
    with field.alone(workers=True):
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        result = rig.run(load)
        for name, pid in pids.items():
            samples.add(f"{name} cpu", (cpu_seconds(pid) - before[name]) * 1000 / load.files)
        samples.add("ours wall", rig.double.calls().phase / load.ideal_seconds)
        samples.add("whole", result.seconds / load.ideal_seconds)
        samples.add("pss ours", pss_mib(pids["ours"]))


def _theirs(field: _Field, samples: Samples, runner: Runner) -> None:
    slots, name = runner.slots, runner.name
    load = Load(files=30 * slots, batches=3 * slots, in_flight=slots) if slots < BATCHES else Load()
    double, pid = field.rig.double, field.runners[runner].pid
    worker = name.replace(" ", "-")
    double.reset()
    with field.alone(runner), runner.sender(field.rig) as send:
        before, began = cpu_seconds(pid), time.monotonic()
        for batch in split(load.files, load.batches):
            send(double.url(worker), batch)
        double.wait_calls(worker, CALLS_A_FILE * load.files)
        samples.add(f"wall {name}", (time.monotonic() - began) / load.ideal_seconds)
        samples.add(f"cpu {name}", (cpu_seconds(pid) - before) * 1000 / load.files)
        samples.add(f"pss {name}", pss_mib(pid))


def _ceiling(field: _Field, samples: Samples) -> None:
    load, root = Load(), field.rig.double.url("ceiling")
    command = (sys.executable, "-m", "unstract_bench.baselines.raw_client", root, str(load.files), str(load.in_flight))
    with field.alone():
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    samples.add("ceiling", float(done.stdout) / load.ideal_seconds)


def _p4(samples: Samples) -> tuple[Figure, ...]:
    bar = Bar(0.85, 0.70, over=f"wall {BARE.name}", named=BARE.name)
    return (
        samples.figure("ours wall", "files through file-processing", IDEAL, bar),
        samples.figure("whole", "start message to terminal status", IDEAL),
        samples.figure("ceiling", "ceiling: the double and a raw client", IDEAL),
        *samples.printed("wall ", IDEAL),
        *samples.printed("pss ", "MiB", label="PSS after load, "),
    )


def _p5(samples: Samples) -> tuple[Figure, ...]:
    unit, bar = "ms / file", Bar(0.85, 0.70, over=f"cpu {BARE.name}", named=BARE.name)
    return (
        samples.figure("ours cpu", "file-processing", unit, bar),
        samples.figure("double cpu", "the backend double beside it", unit),
        *samples.printed("cpu ", unit),
    )
