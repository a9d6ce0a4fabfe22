"""What a worker takes before it does anything for anybody: memory (P1, P2), time to start (P3), disk space (P8).

P1 and P2 compare with as many processes of bare Celery, in the same minute. P3 goes from exec to ready, beside bare
Celery without mingle, gossip and heartbeat. Ready is the same for both: a connection of the process waits for messages
on Redis. A worker must then also say so on its health page.
"""

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from unstract_bench.costs import MIB, cpu_seconds, settled_pss_mib
from unstract_bench.environment import install, program
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import Rig, environment_of, process_of, running_rig, running_workers, waiting
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import bare_celery, running
from unstract_bench.workload import Load
from unstract_devstack.fleet import WORKERS, WorkerKind
from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, wait_until

SLOTS = 16
BARE = tuple(bare_celery(SLOTS, number=number) for number in range(1, len(WORKERS) + 1))
LEAN = bare_celery(SLOTS, lean=True)
PREFORK = bare_celery(4, pool="prefork")
LOADS = tuple(Load(files=200, batches=20, in_flight=SLOTS, kind=kind) for kind in ("api", "etl"))
# Memory varies little from round to round.
SPREAD = 0.06
SECONDS, PAUSE = 60.0, 0.002  # of P3


def memory_measures(setting: Setting) -> Made:
    """P1 and P2."""
    with running_rig(setting.directory / "memory") as rig:
        text = "memory: the fleet, idle and after load, beside bare Celery"
        samples = setting.repeat(text, partial(_round, rig), lambda samples: (*_p1(samples), *_p2(samples)))
    return (
        Measure("P1", f"PSS after load, {SLOTS} slots, over bare Celery with the same libraries", _p1(samples)),
        Measure("P2", f"PSS of all four workers, idle, {SLOTS} slots each, over four bare Celery", _p2(samples)),
    ), {}


def _round(rig: Rig, samples: Samples) -> None:
    with running_workers(rig, slots=SLOTS) as fleet, contextlib.ExitStack() as parts:
        trees = {name: worker.process.pid for name, worker in fleet.workers.items()}
        bare = {each.name: parts.enter_context(running(rig, each)).pid for each in BARE}
        with running(rig, PREFORK) as prefork:
            pids = {**trees, **bare, PREFORK.name: prefork.pid}
            idle = dict(zip(pids, settled_pss_mib(tuple(pids.values())), strict=True))
        samples.add("fleet", sum(idle[name] for name in trees))
        samples.add("bare fleet", sum(idle[name] for name in bare))
        for name in (*trees, BARE[0].name, PREFORK.name):
            samples.add(f"idle {name}", idle[name])
        for load in LOADS:
            rig.run(load)
        fleet.check()
        BARE[0].put_through(rig, "bare", sum(load.files for load in LOADS), sum(load.batches for load in LOADS))
        pids = {**trees, "bare": bare[BARE[0].name]}
        for name, value in zip(pids, settled_pss_mib(tuple(pids.values())), strict=True):
            samples.add(name, value)


def _p1(samples: Samples) -> tuple[Figure, ...]:
    of, bare = samples.of, BARE[0].name
    return tuple(
        Figure(kind.name, "MiB", of(kind.name), of("bare"), bare, 0.90, 0.80, spread_limit=SPREAD) for kind in WORKERS
    )


def _p2(samples: Samples) -> tuple[Figure, ...]:
    of, named = samples.of, f"{len(BARE)} x {BARE[0].name}"
    fleet = Figure("all four", "MiB", of("fleet"), of("bare fleet"), named, 0.95, 0.90, spread_limit=SPREAD)
    return (fleet, *samples.printed("idle ", "MiB", label="idle "))


def size_measures(setting: Setting) -> Made:
    """P8: a worker's wheel, installed into an empty environment."""
    setting.report("size: each worker's wheel is installed")
    figures, packages = [], 0
    for name in (f"unstract-worker-{kind.name}" for kind in WORKERS):
        folder = setting.directory / name
        (wheel,) = (setting.directory / "wheels").glob(f"{name.replace('-', '_')}-*.whl")
        install(folder, (str(wheel),), setting.python, "--find-links", str(wheel.parent))
        (site,) = folder.glob("lib/python*/site-packages")
        packages = max(packages, sum(1 for _ in site.glob("*.dist-info")))
        figures.append(Figure(name, "MiB", (sum(installed_bytes(site)) / MIB,), bar=22, stretch=19, least_rounds=1))
    title = "installed size of a worker's base environment (site-packages, no pip, no .pyc, no extras)"
    return (Measure("P8", title, tuple(figures), (f"at most {packages} packages",)),), {}


def installed_bytes(site: Path) -> Iterator[int]:
    """The sizes of all files below a site-packages folder, but pip's and compiled ones."""
    for path in site.rglob("*"):
        top = path.relative_to(site).parts[0]
        if path.is_file() and not path.is_symlink() and path.suffix != ".pyc" and top.partition("-")[0] != "pip":
            yield path.stat().st_size


def start_measures(setting: Setting) -> Made:
    """P3."""
    with running_rig(setting.directory / "start") as rig:
        for kind in WORKERS:  # so that no round pays for cold files
            _worker(rig, kind, Samples())

        def once(samples: Samples) -> None:
            for kind in WORKERS:
                _timed(rig, LEAN.process(rig), samples, f"bare {kind.name}")
                _worker(rig, kind, samples)

        figures = _p3(setting.repeat("start: each worker beside bare Celery", once, _p3))
    return (Measure("P3", "exec to ready, over bare Celery without mingle, gossip and heartbeat", figures),), {}


def _p3(samples: Samples) -> tuple[Figure, ...]:
    of, printed = samples.of, samples.printed("CPU ", "s", label="CPU ")
    names = [kind.name for kind in WORKERS]
    figures = (
        Figure(each, "s", of(each), of(f"bare {each}"), LEAN.name, 1.1, 0.95, spread_limit=0.2) for each in names
    )
    return (*figures, *printed)


def _worker(rig: Rig, kind: WorkerKind, samples: Samples) -> None:
    port = free_port()
    environment = environment_of(rig, kind.name, SLOTS) | {kind.port_variable: str(port)}
    process = process_of(rig, kind.name, (program(f"unstract-worker-{kind.name}"), "run"), environment)
    _timed(rig, process, samples, kind.name, f"http://127.0.0.1:{port}/health/ready")


def _timed(rig: Rig, process: ManagedProcess, samples: Samples, name: str, page: str = "") -> None:
    wait_until(lambda: waiting(rig) == 0, seconds=SECONDS)
    began = time.monotonic()
    process.start()
    try:
        if not wait_until(lambda: waiting(rig) > 0, seconds=SECONDS, pause=PAUSE):
            raise process.failure("did not come to wait for work")
        if page and not wait_until(lambda: _says_ready(page), seconds=SECONDS, pause=PAUSE):
            raise process.failure("does not say that it is ready")
        samples.add(name, time.monotonic() - began)
        samples.add(f"CPU {name}", cpu_seconds(process.pid))
    finally:
        process.kill()


def _says_ready(page: str) -> bool:
    try:
        return call("GET", page, timeout=2.0).status == 200
    except CallFailed:
        return False
