"""P3: from exec to ready, beside bare Celery without mingle, gossip and heartbeat.

Ready is the same for both: a connection of the process waits for messages on Redis. A worker must then also say so on
its health page.
"""

import time

from unstract_bench.costs import cpu_seconds
from unstract_bench.environment import program
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import Rig, environment_of, process_of, running_rig, waiting
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import bare_celery
from unstract_devstack.fleet import WORKERS, WorkerKind
from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, wait_until

SLOTS = 16
BARE = bare_celery(SLOTS, lean=True)
SECONDS, PAUSE = 60.0, 0.002


def start_measures(setting: Setting) -> Made:
    """P3."""
    with running_rig(setting.directory / "start") as rig:
        for kind in WORKERS:  # so that no round pays for cold files
            _worker(rig, kind, Samples())

        def once(samples: Samples) -> None:
            for kind in WORKERS:
                _timed(rig, BARE.process(rig), samples, f"bare {kind.name}")
                _worker(rig, kind, samples)

        figures = _figures(setting.repeat("start: each worker beside bare Celery", once, _figures))
    return (Measure("P3", "exec to ready, over bare Celery without mingle, gossip and heartbeat", figures),), {}


def _figures(samples: Samples) -> tuple[Figure, ...]:
    of, printed = samples.of, samples.printed("CPU ", "s", label="CPU ")
    names = [kind.name for kind in WORKERS]
    figures = (
        Figure(each, "s", of(each), of(f"bare {each}"), BARE.name, 1.1, 0.95, spread_limit=0.2) for each in names
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
