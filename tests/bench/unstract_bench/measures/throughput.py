"""Files a second: the usual load beside other runners (P4, P5), one process and four (P12), and the curves over slots.

P4 and P5: all runners are up. Those that are not measured are stopped (SIGSTOP), so that each runner has the same
cores. P4's wall is the phase of the files as the double sees it: from the orchestrator's last call to the callback
worker's first, arming, doorbells, leases and the last outcome included.

P12: a process spends most of its time waiting for the backend, as for a language model, so that the machine's cores do
for four: what limits would be the ledger, the broker or the sweeper. Each slot has three batches, so that the last of
them does not decide. The rate is that of the workers' calls, from the first answer to the last.
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from attrs import define

from unstract_bench.costs import cpu_seconds, pss_mib
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import Rig, running_rig, running_workers
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import Runner, bare_celery, dramatiq, running, taskiq
from unstract_bench.workload import BATCHES, FILES, Load, start
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING, Fleet
from unstract_devstack.processes import ManagedProcess

BARE = bare_celery(BATCHES)
RUNNERS = (BARE, dramatiq(BATCHES), taskiq(BATCHES))
PREFORK = bare_celery(4, pool="prefork")
IDEAL = "wall / ideal"
SLOTS, BATCHES_A_SLOT, FILES_A_BATCH = 8, 3, 10
PROCESSES = (1, 4)
CURVE, CURVE_FILES_A_BATCH, MOST_BATCHES = (1, 4, 16, 50, 100, 200), 6, 100


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

    def once(self, samples: Samples) -> None:
        """A round: the ceiling, the real path, then each runner."""
        self._ceiling(samples)
        self._ours(samples)
        for runner, process in self.runners.items():
            self._theirs(samples, runner, process.pid)

    def _ours(self, samples: Samples) -> None:
        load, rig = Load(), self.rig
        pids = {"ours": self.fleet.of(FILE_PROCESSING)[0].process.pid, "double": rig.double.process.pid}
        with self.alone(workers=True):
            before = {name: cpu_seconds(pid) for name, pid in pids.items()}
            result = rig.run(load)
            for name, pid in pids.items():
                samples.add(f"{name} cpu", (cpu_seconds(pid) - before[name]) * 1000 / load.files)
            samples.add("ours wall", rig.double.calls().phase / load.ideal_seconds)
            samples.add("whole", result.seconds / load.ideal_seconds)
            samples.add("pss ours", pss_mib(pids["ours"]))

    def _theirs(self, samples: Samples, runner: Runner, pid: int) -> None:
        slots, name = runner.slots, runner.name
        load = Load(files=30 * slots, batches=3 * slots, in_flight=slots) if slots < BATCHES else Load()
        with self.alone(runner):
            before = cpu_seconds(pid)
            seconds = runner.put_through(self.rig, name.replace(" ", "-"), load.files, load.batches)
            samples.add(f"wall {name}", seconds / load.ideal_seconds)
            samples.add(f"cpu {name}", (cpu_seconds(pid) - before) * 1000 / load.files)
            samples.add(f"pss {name}", pss_mib(pid))

    def _ceiling(self, samples: Samples) -> None:
        load, client = Load(), "unstract_bench.baselines.raw_client"
        command = (sys.executable, "-m", client, self.rig.double.url("ceiling"), str(load.files), str(load.in_flight))
        with self.alone():
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        samples.add("ceiling", float(done.stdout) / load.ideal_seconds)


def load_measures(setting: Setting) -> Made:
    """P4 and P5."""
    runners = RUNNERS if setting.short else (*RUNNERS, PREFORK)
    with contextlib.ExitStack() as parts:
        rig = parts.enter_context(running_rig(setting.directory / "load"))
        fleet = parts.enter_context(running_workers(rig, file_slots=BATCHES))
        field = _Field(rig, fleet, {each: parts.enter_context(running(rig, each)) for each in runners})
        # The whole load, for all alike: threads, connections and memory are there then. A smaller one leaves the first
        # round that counts a tenth slower than those after it.
        field.once(Samples())
        text = "load: the real path, then " + ", ".join(each.name for each in runners)
        samples = setting.repeat(text, field.once, lambda samples: (*_p4(samples), *_p5(samples)))
    return (
        Measure("P4", f"{FILES:,} files through the real path, {BATCHES} in flight, over bare Celery", _p4(samples)),
        Measure("P5", "CPU of the file-processing worker in P4, over bare Celery's", _p5(samples)),
    ), {}


def _p4(samples: Samples) -> tuple[Figure, ...]:
    of, named = samples.of, "files through file-processing"
    return (
        Figure(named, IDEAL, of("ours wall"), of(f"wall {BARE.name}"), BARE.name, 0.85, 0.70),
        Figure("start message to terminal status", IDEAL, of("whole")),
        Figure("ceiling: the double and a raw client", IDEAL, of("ceiling")),
        *samples.printed("wall ", IDEAL),
        *samples.printed("pss ", "MiB", label="PSS after load, "),
    )


def _p5(samples: Samples) -> tuple[Figure, ...]:
    of, unit = samples.of, "ms / file"
    return (
        Figure("file-processing", unit, of("ours cpu"), of(f"cpu {BARE.name}"), BARE.name, 0.85, 0.70),
        Figure("the backend double beside it", unit, of("double cpu")),
        *samples.printed("cpu ", unit),
    )


def process_measures(setting: Setting) -> Made:
    """P12."""
    text = "processes: one file-processing process, then four"
    with running_rig(setting.directory / "processes") as rig, running_workers(rig, kinds=(API_DEPLOYMENT, CALLBACK)):
        samples = setting.repeat(text, partial(_processes, rig), _p12)
    title = f"files a second of four file-processing processes over one, {SLOTS} in flight each"
    return (Measure("P12", title, _p12(samples)),), {}


def _p12(samples: Samples) -> tuple[Figure, ...]:
    four, one = samples.of("4"), samples.of("1")
    return (Figure("four processes", "files / s", four, one, "one process", 3.4, 3.8, better="higher"),)


def _processes(rig: Rig, samples: Samples) -> None:
    for processes in PROCESSES:
        slots = SLOTS * processes
        load = Load(slots * BATCHES_A_SLOT * FILES_A_BATCH, slots * BATCHES_A_SLOT, in_flight=slots)
        with running_workers(rig, slots=SLOTS, kinds=(FILE_PROCESSING,) * processes):
            rig.run(Load(slots, slots, in_flight=slots))  # threads and connections are there then
            rig.run(load)
        samples.add(str(processes), load.files / rig.double.calls().span(FILE_PROCESSING.name))


def slot_curves(setting: Setting) -> Made:
    """Files a second, and PSS in MiB, by slots, beside bare Celery. One round each: shapes, not verdicts."""
    runners = {"unstract-worker-file-processing": _ours, "bare Celery threads": _bare}
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    memory: dict[str, list[tuple[float, float]]] = {name: [] for name in runners}
    with running_rig(setting.directory / "slots") as rig:
        for slots in CURVE:
            if not setting.time_left:
                break
            setting.report(f"slots: {slots}")
            for name, measure in runners.items():
                rate, mib = measure(rig, slots)
                rates[name].append((float(slots), rate))
                memory[name].append((float(slots), mib))
    return (), {"rates": rates, "memory": memory}


def _ours(rig: Rig, slots: int) -> tuple[float, float]:
    """An execution has a hundred batches at most: more slots than that are filled by two executions."""
    runs = max(1, slots // MOST_BATCHES)
    batches = slots // runs
    load = Load(files=batches * CURVE_FILES_A_BATCH, batches=batches)
    kinds = (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    with running_workers(rig, file_slots=slots, kinds=kinds) as fleet:
        rig.double.reset()
        for execution, _ in [start(rig.producer, rig.double, load) for _ in range(runs)]:
            rig.double.wait_over(execution)
        memory = pss_mib(fleet.of(FILE_PROCESSING)[0].process.pid)
        return load.files * runs / rig.double.calls().span(FILE_PROCESSING.name), memory


def _bare(rig: Rig, slots: int) -> tuple[float, float]:
    runner, files = bare_celery(slots), slots * CURVE_FILES_A_BATCH
    with running(rig, runner) as process:
        runner.put_through(rig, "bare", files, slots)
        return files / rig.double.calls().span("bare"), pss_mib(process.pid)
