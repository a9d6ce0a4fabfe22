"""P1 and P2: memory of the workers beside bare Celery's, in the same minute."""

from unstract_bench.costs import settled_pss_mib
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.measures.samples import Samples
from unstract_bench.rig import Ground, running_ground, running_workers
from unstract_bench.rivals import Rival, bare_celery, deal, running_rival
from unstract_bench.setting import Setting
from unstract_bench.workload import CALLS_A_FILE, Load
from unstract_devstack.fleet import WORKERS, Fleet

__all__ = ["memory_measures"]

SLOTS = 16
BARE = bare_celery(SLOTS)
PREFORK = bare_celery(4, pool="prefork")
API = Load(files=200, batches=20, in_flight=SLOTS)
ETL = Load(files=200, batches=20, in_flight=SLOTS, kind="etl")


def memory_measures(setting: Setting) -> tuple[Measure, ...]:
    """P1 and P2."""
    samples = Samples()
    with running_ground(setting.directory / "memory") as ground:

        def once() -> None:
            setting.say("memory: the fleet, idle and after load, beside bare Celery")
            _round(ground, samples)

        setting.repeat(once, lambda: (*_p1(samples), *_p2(samples)))
    return (
        Measure("P1", f"PSS after load, {SLOTS} slots, over bare Celery with the same libraries", _p1(samples)),
        Measure("P2", f"PSS of all four workers, idle, {SLOTS} slots each", _p2(samples)),
    )


def _round(ground: Ground, samples: Samples) -> None:
    with running_workers(ground, slots=SLOTS) as fleet:
        workers = {name: worker.process.pid for name, worker in fleet.workers.items()}
        idle = dict(zip(workers, settled_pss_mib(tuple(workers.values())), strict=True))
        samples.add("fleet", sum(idle.values()))
        for name, value in idle.items():
            samples.add(f"idle {name}", value)
        with running_rival(ground, BARE) as bare:
            with running_rival(ground, PREFORK) as prefork:
                for name, value in zip(("bare", "prefork"), settled_pss_mib((bare.pid, prefork.pid)), strict=True):
                    samples.add(f"idle {name}", value)
            _load(ground, fleet, BARE)
            trees = workers | {"bare": bare.pid}
            for name, value in zip(trees, settled_pss_mib(tuple(trees.values())), strict=True):
                samples.add(name, value)


def _load(ground: Ground, fleet: Fleet, bare: Rival) -> None:
    """As many files for bare Celery as for the workers."""
    ground.run(API)
    ground.run(ETL)
    fleet.check()
    ground.forget_logs()
    ground.double.reset()
    with bare.send(ground) as send:
        for files in deal(API.files + ETL.files, API.batches + ETL.batches):
            send(ground.double.url("bare"), files)
        ground.double.wait_calls("bare", CALLS_A_FILE * (API.files + ETL.files))


def _p1(samples: Samples) -> tuple[Figure, ...]:
    bar, bare = Bar(0.95, 0.80, ratio=True), samples.of("bare")
    return tuple(Figure(kind.name, "MiB", samples.of(kind.name), bare, BARE.name, bar, 0.06) for kind in WORKERS)


def _p2(samples: Samples) -> tuple[Figure, ...]:
    told = [Figure("all four", "MiB", samples.of("fleet"), held=Bar(160, 140), spread_limit=0.06)]
    told += [Figure(f"idle {kind.name}", "MiB", samples.of(f"idle {kind.name}")) for kind in WORKERS]
    told += [Figure(f"idle {BARE.name}", "MiB", samples.of("idle bare"))]
    return (*told, Figure(f"idle {PREFORK.name}", "MiB", samples.of("idle prefork")))
