"""P4 and P5: the real-shape load through the real path, beside bare Celery, dramatiq and taskiq.

All runners are up; those that are not measured stand still (SIGSTOP), so that each has the same two cores as the
others. P4's wall is the phase of the files as the double sees it: from the orchestrator's last call to the callback
worker's first, arming, doorbells, leases and the last outcome included.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from attrs import define

from unstract_bench.costs import cpu_seconds, pss_mib
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.measures.samples import Samples
from unstract_bench.rig import Ground, running_ground, running_workers
from unstract_bench.rivals import Rival, bare_celery, check_known, deal, dramatiq, running_rival, taskiq
from unstract_bench.setting import Setting
from unstract_bench.workload import BATCHES, CALLS_A_FILE, FILES, Load
from unstract_devstack.fleet import FILE_PROCESSING, Fleet
from unstract_devstack.processes import ManagedProcess

__all__ = ["load_measures"]

BARE = bare_celery(BATCHES)
RIVALS = (BARE, dramatiq(BATCHES), taskiq(BATCHES))
PREFORK = bare_celery(4, pool="prefork")
OURS, CEILING = "ours", "ceiling"


@define
class _Field:
    """The runners that are up."""

    ground: Ground
    fleet: Fleet
    rivals: dict[str, tuple[Rival, ManagedProcess]]

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Only the runner of this name moves."""
        with contextlib.ExitStack() as still:
            for other, (_, process) in self.rivals.items():
                if other != name:
                    still.enter_context(process.frozen())
            for worker in self.fleet.workers.values() if name != OURS else ():
                still.enter_context(worker.process.frozen())
            yield


def load_measures(setting: Setting) -> tuple[Measure, ...]:
    """P4 and P5."""
    rivals = RIVALS if setting.short else (*RIVALS, PREFORK)
    check_known(rivals)
    samples = Samples()
    with _field(setting, rivals) as field:

        def once() -> None:
            setting.say("load: the real path, then " + ", ".join(field.rivals))
            _ceiling(field, samples)
            _ours(field, samples)
            for name, (rival, process) in field.rivals.items():
                _rival(field, samples, name, rival, process)

        setting.say("load: once for all of them before anything counts")
        _warm(field)
        setting.repeat(once, lambda: (*_p4(samples), *_p5(samples)))
    return (
        Measure("P4", f"{FILES:,} files through the real path, {BATCHES} in flight: wall / ideal", _p4(samples)),
        Measure("P5", "CPU of the file-processing worker in P4", _p5(samples)),
    )


@contextlib.contextmanager
def _field(setting: Setting, rivals: Sequence[Rival]) -> Iterator[_Field]:
    with contextlib.ExitStack() as parts:
        ground = parts.enter_context(running_ground(setting.directory / "load"))
        fleet = parts.enter_context(running_workers(ground, slots=16, file_slots=BATCHES))
        running = {rival.name: (rival, parts.enter_context(running_rival(ground, rival))) for rival in rivals}
        yield _Field(ground, fleet, running)


def _warm(field: _Field) -> None:
    """The whole load once, for all alike: threads, connections and memory are there then. A smaller one leaves the
    first round that counts a tenth slower than those after it."""
    throw_away = Samples()
    _ours(field, throw_away)
    for name, (rival, process) in field.rivals.items():
        _rival(field, throw_away, name, rival, process)


def _ours(field: _Field, samples: Samples) -> None:
    load = Load()
    pid = field.fleet.of(FILE_PROCESSING)[0].process.pid
    with field.alone(OURS):
        before, double = cpu_seconds(pid), cpu_seconds(field.ground.double.process.pid)
        ran = field.ground.run(load)
        samples.add("cpu ours", (cpu_seconds(pid) - before) * 1000 / load.files)
        samples.add("double", (cpu_seconds(field.ground.double.process.pid) - double) * 1000 / load.files)
        samples.add("wall ours", (ran.counts.phase_seconds or ran.seconds) / load.ideal_seconds)
        samples.add("whole ours", ran.seconds / load.ideal_seconds)
        samples.add("pss ours", pss_mib(pid))
    field.ground.forget_logs()


def _rival(field: _Field, samples: Samples, name: str, rival: Rival, process: ManagedProcess) -> None:
    slow = rival.slots < BATCHES
    load = Load(files=30 * rival.slots, batches=3 * rival.slots, in_flight=rival.slots) if slow else Load()
    double, worker = field.ground.double, name.replace(" ", "-")
    double.reset()
    with field.alone(name), rival.send(field.ground) as send:
        before, began = cpu_seconds(process.pid), time.monotonic()
        for files in deal(load.files, load.batches):
            send(double.url(worker), files)
        double.wait_calls(worker, CALLS_A_FILE * load.files)
        samples.add(f"wall {name}", (time.monotonic() - began) / load.ideal_seconds)
        samples.add(f"cpu {name}", (cpu_seconds(process.pid) - before) * 1000 / load.files)
        samples.add(f"pss {name}", pss_mib(process.pid))


def _ceiling(field: _Field, samples: Samples) -> None:
    load, ground = Load(), field.ground
    command = (sys.executable, "-m", "unstract_bench.baselines.raw_client")
    with field.alone(CEILING):
        ran = subprocess.run(
            (*command, ground.double.url(CEILING), str(load.files), str(load.in_flight)),
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
    samples.add(f"wall {CEILING}", float(ran.stdout) / load.ideal_seconds)


def _p4(samples: Samples) -> tuple[Figure, ...]:
    bare = samples.of(f"wall {BARE.name}")
    held = Figure(
        "files through file-processing", "wall / ideal", samples.of("wall ours"), bare, BARE.name, Bar(2, 1.4)
    )
    whole = Figure("start message to terminal status", "wall / ideal", samples.of("whole ours"))
    ceiling = Figure("ceiling: the double and a raw client", "wall / ideal", samples.of(f"wall {CEILING}"))
    return (held, whole, ceiling, *_told(samples, "wall", "wall / ideal"), *_told(samples, "pss", "MiB"))


def _p5(samples: Samples) -> tuple[Figure, ...]:
    bare = samples.of(f"cpu {BARE.name}")
    held = Figure("file-processing", "ms / file", samples.of("cpu ours"), bare, BARE.name, Bar(2.0, 1.0))
    double = Figure("the backend double beside it", "ms / file", samples.of("double"))
    return (held, double, *_told(samples, "cpu", "ms / file"))


def _told(samples: Samples, what: str, unit: str) -> tuple[Figure, ...]:
    prefix = f"{what} "
    skipped = (f"{prefix}{CEILING}", "wall ours", "cpu ours")
    names = [each for each in samples.names if each.startswith(prefix) and each not in skipped]
    kind = "" if what != "pss" else "PSS after load, "
    return tuple(Figure(kind + name.removeprefix(prefix), unit, samples.of(name)) for name in names)
