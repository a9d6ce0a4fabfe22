"""P11: what grows. The cost per file and the memory of the workers in one execution of 100,000 files over one of 1,000;
the sweeper's tick at 10,000 healthy open runs over 100.

The execution is a pipeline's (the public API takes 32 files a call), in 100 batches and 16 slots. The backend answers
almost at once, so that the workers and Redis are what takes the time. Workers are started for each execution and have
put one file through before anything counts; memory is read when the execution is over, as in P1.

Without `--growth` the large execution is made once, if the measured speed says that there is time for it. Otherwise the
figures are those of the committed run and say so, and a smaller execution is printed and not judged.
"""

from statistics import median

from attrs import evolve

from unstract_bench.costs import cpu_seconds, peak_mib, settled_pss_mib
from unstract_bench.document import Run
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.ledger.driver import sweeper_ticks
from unstract_bench.rig import Rig, environment_of, running_rig, running_workers
from unstract_bench.rounds import Made, Setting
from unstract_bench.workload import BATCHES, Load
from unstract_devstack.fleet import CALLBACK, FILE_PROCESSING, GENERAL

SMALL, MEDIUM, LARGE = 1_000, 10_000, 100_000
FEW, MANY, TICKS = 100, 10_000, 200
SMALL_REPEATS, LEAST_ROUNDS = 3, 3
KINDS = (GENERAL, FILE_PROCESSING, CALLBACK)
COST, MEMORY, NONE = (1.2, 1.1), (1.3, 1.1), (None, None)
EXECUTE_SECONDS, OTHER_SECONDS = 0.002, 0.001


def growth_measures(setting: Setting) -> Made:
    """P11."""
    tick = _tick(setting)
    samples, size = _executions(setting)
    figures, notes = _figures(samples, LARGE), ["one round" if len(samples.of(f"cpu {LARGE}")) == 1 else "all rounds"]
    if size != LARGE:
        figures, notes = committed_figures(figures, setting.committed)
        figures += tuple(
            evolve(each, name=f"{each.name}, {size:,} files (not P11)", bar=None, stretch=None)
            for each in _figures(samples, size)
        )
    title = f"growth: {LARGE:,} files in one execution over {SMALL:,}, {MANY:,} open runs over {FEW}"
    return (Measure("P11", title, (*figures, tick), tuple(notes)),), {}


def committed_figures(wanted: tuple[Figure, ...], committed: Run | None) -> tuple[tuple[Figure, ...], list[str]]:
    """The committed run's figures of these names, with a note; without values where it has none."""
    known = committed.figures_of("P11") if committed else {}
    if committed is None or not known:
        return wanted, [f"neither this run nor the committed one had {LARGE:,} files: hatch run bench --growth"]
    day = f"{committed.started_at[:10]}, core {committed.machine['versions'].get('unstract-worker-core', 'unknown')}"
    found = (known.get(each.name, each) for each in wanted)
    figures = tuple(evolve(each, measured_on=each.measured_on or day) if each.values else each for each in found)
    return figures, [f"{LARGE:,} files: not this run's figures but those of {day}; hatch run bench --growth measures"]


def _executions(setting: Setting) -> tuple[Samples, int]:
    """The samples, and how many files the largest execution had."""
    samples, size = Samples(), LARGE
    with running_rig(setting.directory / "growth") as rig:
        rig.double.latencies(execute=EXECUTE_SECONDS, other=OTHER_SECONDS)
        for _ in range(setting.rounds if setting.growth else 1):
            setting.report(f"growth: {SMALL_REPEATS} executions of {SMALL:,} files")
            small = Samples()
            for _ in range(SMALL_REPEATS):
                _execute(rig, SMALL, small)
            for name, values in small.values.items():
                samples.add(name, median(values))
            expected_seconds = median(small.of(f"wall {SMALL}")) / 1000 * LARGE
            size = LARGE if setting.growth or setting.allows(expected_seconds) else MEDIUM
            setting.report(f"growth: an execution of {size:,} files")
            _execute(rig, size, samples)
    return samples, size


def _execute(rig: Rig, files: int, samples: Samples) -> None:
    with running_workers(rig, kinds=KINDS) as fleet:
        rig.run(Load(1, 1, kind="etl"))
        workers = {name: worker.process.pid for name, worker in fleet.workers.items()}
        all_pids = (*workers.values(), rig.redis.pid)
        before = sum(map(cpu_seconds, all_pids))
        result = rig.run(Load(files, BATCHES, kind="etl"))
        samples.add(f"cpu {files}", (sum(map(cpu_seconds, all_pids)) - before) * 1000 / files)
        samples.add(f"wall {files}", result.seconds * 1000 / files)
        for name, value in zip(workers, settled_pss_mib(tuple(workers.values())), strict=True):
            samples.add(f"{name} {files}", value)
            samples.add(f"peak {name} {files}", peak_mib(workers[name]))


def _tick(setting: Setting) -> Figure:
    """A tick in this process, at two servers with so many runs each."""
    setting.report(f"growth: the sweeper's tick at {FEW} and {MANY:,} open runs")
    samples, folder = Samples(), setting.directory
    with running_rig(folder / "few-runs") as few, running_rig(folder / "many-runs") as many:
        ticks = {
            runs: sweeper_ticks(environment_of(rig, "sweeper", 1) | {"WORKER_LEASE_SECONDS": "3600"}, runs)
            for runs, rig in ((FEW, few), (MANY, many))
        }
        for _ in range(max(setting.rounds, LEAST_ROUNDS)):
            for runs, tick in ticks.items():
                samples.add(str(runs), median(tick() for _ in range(TICKS)) * 1000)
    few_runs, many_runs = samples.of(str(FEW)), samples.of(str(MANY))
    return Figure("sweeper's tick", "ms", many_runs, few_runs, f"{FEW} runs", 2.0, 1.3, spread_limit=0.3)


def _figures(samples: Samples, size: int) -> tuple[Figure, ...]:
    def figure(key: str, name: str, unit: str, limits: tuple[float | None, float | None]) -> Figure:
        large, small = samples.of(f"{key} {size}"), samples.of(f"{key} {SMALL}")
        return Figure(name, unit, large, small, f"{SMALL:,} files", *limits, least_rounds=1)

    return (
        figure("cpu", "CPU of the workers and Redis", "ms / file", COST),
        figure("wall", "start message to terminal status", "ms / file", COST),
        *(figure(kind.name, f"PSS {kind.name}", "MiB", MEMORY) for kind in KINDS),
        *(figure(f"peak {kind.name}", f"largest RSS {kind.name}", "MiB", NONE) for kind in KINDS),
    )
