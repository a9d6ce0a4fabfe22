"""P3: from exec to ready, beside bare Celery without mingle, gossip and heartbeat.

Ready is the same for both: a connection of the process waits for messages on Redis. A worker must then also say so on
its health page.
"""

import time
from collections.abc import Callable
from functools import partial

from unstract_bench.costs import cpu_seconds
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.measures.samples import Samples
from unstract_bench.plain import program
from unstract_bench.rig import API_KEY, Ground, running_ground
from unstract_bench.rivals import CELERY_WAITS, bare_celery, waiting
from unstract_bench.setting import Setting
from unstract_devstack.fleet import WORKERS, WorkerKind
from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.stack import worker_environment

__all__ = ["start_measures"]

SLOTS = 16
BARE = bare_celery(SLOTS, lean=True)
SECONDS, PAUSE = 60.0, 0.002


def start_measures(setting: Setting) -> tuple[Measure, ...]:
    """P3."""
    samples = Samples()
    with running_ground(setting.directory / "start") as ground:
        for kind in WORKERS:  # so that no round pays for cold files
            _timed(ground, _worker(ground, kind, free_port()), Samples(), kind.name, None)

        def once() -> None:
            setting.say("start: each worker beside bare Celery")
            for kind in WORKERS:
                _timed(ground, _bare(ground), samples, f"bare {kind.name}", None)
                port = free_port()
                page = f"http://127.0.0.1:{port}/health/ready"
                _timed(ground, _worker(ground, kind, port), samples, kind.name, partial(_says_ready, page))

        setting.repeat(once, lambda: _figures(samples))
    return (Measure("P3", "exec to ready, over bare Celery without mingle, gossip and heartbeat", _figures(samples)),)


def _figures(samples: Samples) -> tuple[Figure, ...]:
    bar = Bar(1.0, 0.75, ratio=True)
    told = [
        Figure(kind.name, "s", samples.of(kind.name), samples.of(f"bare {kind.name}"), BARE.name, bar, 0.2)
        for kind in WORKERS
    ]
    told += [Figure(f"CPU {kind.name}", "s", samples.of(f"CPU {kind.name}")) for kind in WORKERS]
    return tuple(told)


def _timed(
    ground: Ground, process: ManagedProcess, samples: Samples, name: str, then: Callable[[], bool] | None
) -> None:
    wait_until(lambda: waiting(ground, CELERY_WAITS) == 0, seconds=SECONDS)
    began = time.monotonic()
    process.start()
    try:
        if not wait_until(lambda: waiting(ground, CELERY_WAITS) > 0, seconds=SECONDS, pause=PAUSE):
            raise process.failure("did not come to wait for work")
        if then is not None and not wait_until(then, seconds=SECONDS, pause=PAUSE):
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


def _bare(ground: Ground) -> ManagedProcess:
    environment = {**inherited_environment(), "BENCH_REDIS": ground.redis.url, "BENCH_QUEUE": BARE.queue}
    return _process(ground, "bare", BARE.command, environment)


def _worker(ground: Ground, kind: WorkerKind, port: int) -> ManagedProcess:
    environment = inherited_environment() | worker_environment(
        backend_url=ground.double.url(kind.name),
        api_key=API_KEY,
        redis_url=ground.redis.url,
        broker_url=ground.redis.url,
    )
    environment |= {"CELERY_CONCURRENCY": str(SLOTS), kind.port_variable: str(port)}
    return _process(ground, kind.name, (f"unstract-worker-{kind.name}", "run"), environment)


def _process(ground: Ground, name: str, command: tuple[str, ...], environment: dict[str, str]) -> ManagedProcess:
    return ManagedProcess(name, (program(command[0]), *command[1:]), environment, ground.directory / f"{name}.log")
