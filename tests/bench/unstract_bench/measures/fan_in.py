"""P7: the cost of fan-in per batch, through the ledger and as celery.chord, both on Redis with one worker of 16 threads.

Timed from before the first message until the callback has run; the batches do nothing. The ledger's side claims,
leases, records, completes and closes as the real workers do, and finishes by reading all outcomes.
"""

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from unstract_bench.document import Curve
from unstract_bench.fan_in.dispatching import CALLBACK_QUEUE, Dispatch, chord_dispatch, ledger_dispatch
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.measures.samples import Samples
from unstract_bench.rig import API_KEY, Ground, NotDone, running_ground
from unstract_bench.rivals import CELERY_WAITS, waiting
from unstract_bench.setting import Setting
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.stack import worker_environment

__all__ = ["fan_in_measures"]

SLOTS = 16
SMALL, LARGE = 1_000, 10_000
CURVE = (10, 100, 20_000)
LEDGER, CHORD = "ledger", "celery.chord"
SECONDS = 180


def fan_in_measures(setting: Setting) -> tuple[tuple[Measure, ...], Curve]:
    """P7 and, but in the short run, its curve: milliseconds a batch by batches."""
    samples = Samples()
    with running_ground(setting.directory / "fan-in") as ground, _both(ground) as dispatches:

        def measure(batches: int) -> None:
            for name, dispatch in dispatches.items():
                samples.add(f"{name} {batches}", _milliseconds_a_batch(ground, dispatch, batches))

        def once() -> None:
            setting.say(f"fan-in: {SMALL:,} and {LARGE:,} batches, ledger and chord")
            measure(SMALL)
            measure(LARGE)

        for dispatch in dispatches.values():
            _milliseconds_a_batch(ground, dispatch, 100)
        setting.repeat(once, lambda: _figures(samples))
        for batches in () if setting.short else CURVE:
            if setting.time_left:
                measure(batches)
    return (Measure("P7", "fan-in per batch, over celery.chord", _figures(samples)),), _curve(samples)


def _figures(samples: Samples) -> tuple[Figure, ...]:
    bar = Bar(0.8, 0.6, ratio=True)
    small, large = samples.of(f"{LEDGER} {SMALL}"), samples.of(f"{LEDGER} {LARGE}")
    return (
        Figure(f"{SMALL:,} batches", "ms / batch", small, samples.of(f"{CHORD} {SMALL}"), CHORD, bar),
        Figure(f"{LARGE:,} batches", "ms / batch", large, samples.of(f"{CHORD} {LARGE}"), CHORD, bar),
        Figure("growth", "ms / batch", large, small, f"{SMALL:,} batches", Bar(1.2, ratio=True)),
    )


def _curve(samples: Samples) -> Curve:
    sizes = sorted((*CURVE, SMALL, LARGE))
    return {
        name: [(float(size), sorted(told)[len(told) // 2]) for size in sizes if (told := samples.of(f"{name} {size}"))]
        for name in (LEDGER, CHORD)
    }


def _milliseconds_a_batch(ground: Ground, dispatch: Dispatch, batches: int) -> float:
    run_id = str(uuid4())
    with ground.redis.client(timeout=SECONDS + 30) as client:
        began = time.monotonic()
        dispatch(run_id, batches)
        done = client.blpop([f"bench:done:{run_id}"], timeout=SECONDS)
        seconds = time.monotonic() - began
    if done is None or int(done[1]) != batches:
        raise NotDone(f"the fan-in of {batches} batches gave {done}")
    return seconds * 1000 / batches


@contextlib.contextmanager
def _both(ground: Ground) -> Iterator[Mapping[str, Dispatch]]:
    told = worker_environment(
        backend_url=ground.double.url(LEDGER),
        api_key=API_KEY,
        redis_url=ground.redis.url,
        broker_url=ground.redis.url,
    )
    own = {
        "CELERY_CONCURRENCY": str(SLOTS),
        "CELERY_QUEUES_FILE_PROCESSING": CALLBACK_QUEUE,
        "FILE_PROCESSING_HEALTH_PORT": "0",
        "LOG_LEVEL": "WARNING",  # as the other side
    }
    pool = ("-P", "threads", "-c", str(SLOTS), "-l", "WARNING")
    lean = ("--without-mingle", "--without-gossip", "--without-heartbeat")
    celery = str(Path(sys.executable).parent / "celery")
    ours = (sys.executable, "-m", "unstract_bench.fan_in.worker", "run")
    theirs = (celery, "-A", "unstract_bench.baselines.chord_app", "worker", *pool, *lean)
    with (
        _worker(ground, LEDGER, ours, told | own),
        _worker(ground, "chord", theirs, {"BENCH_REDIS": ground.redis.url}),
        ledger_dispatch(told) as ledger,
        chord_dispatch(ground.redis.url) as chord,
    ):
        yield {LEDGER: ledger, CHORD: chord}


@contextlib.contextmanager
def _worker(ground: Ground, name: str, command: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[None]:
    own = {**inherited_environment(), **environment}
    process = ManagedProcess(f"{name} worker", command, own, ground.directory / f"{name}.log")
    before = waiting(ground, CELERY_WAITS)
    try:
        process.start()
        if not wait_until(lambda: waiting(ground, CELERY_WAITS) > before or not process.running, seconds=60):
            raise process.failure("did not come to wait for work")
        if not process.running:
            raise process.failure("ended while it was starting")
        yield
    finally:
        process.stop(grace=3.0)
