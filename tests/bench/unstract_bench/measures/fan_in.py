"""P7: the cost of fan-in per batch, through the ledger and as celery.chord, both on Redis with one worker of 16 threads.

Timed from before the first message until the callback has run; the batches do nothing. The ledger's side claims,
leases, records, completes and closes as the real workers do, and finishes by reading all outcomes.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from statistics import median_high
from uuid import uuid4

from unstract_bench.document import Curve
from unstract_bench.environment import program
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.ledger.driver import CALLBACK_QUEUE, Dispatch, dispatcher
from unstract_bench.rig import Rig, RunFailed, environment_of, process_of, running_process, running_rig
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import chord_worker

SLOTS = 16
SMALL, LARGE = 1_000, 10_000
CURVE = (10, 100, 20_000)
LEDGER, CHORD = "ledger", "celery.chord"
SECONDS = 180


def fan_in_measures(setting: Setting) -> Made:
    """P7 and, where curves are wanted, milliseconds a batch by batches."""
    with running_rig(setting.directory / "fan-in") as rig, _both(rig) as dispatches:

        def measure(samples: Samples, sizes: Sequence[int] = (SMALL, LARGE)) -> None:
            for batches in sizes:
                for name, dispatch in dispatches.items():
                    samples.add(f"{name} {batches}", _milliseconds_a_batch(rig, dispatch, batches))

        measure(Samples(), (100,))
        text = f"fan-in: {SMALL:,} and {LARGE:,} batches, ledger and chord"
        samples = setting.repeat(text, measure, _figures)
        for batches in CURVE if setting.curves else ():
            if setting.time_left:
                measure(samples, (batches,))
    return (Measure("P7", "fan-in per batch, over celery.chord", _figures(samples)),), {"fan-in": _curve(samples)}


def _figures(samples: Samples) -> tuple[Figure, ...]:
    of, unit = samples.of, "ms / batch"
    small, large = of(f"{LEDGER} {SMALL}"), of(f"{LEDGER} {LARGE}")
    return (
        Figure(f"{SMALL:,} batches", unit, small, of(f"{CHORD} {SMALL}"), CHORD, 0.6, 0.5),
        Figure(f"{LARGE:,} batches", unit, large, of(f"{CHORD} {LARGE}"), CHORD, 0.6, 0.5),
        Figure("growth", unit, large, small, f"{SMALL:,} batches", 1.2, 1.1),
    )


def _curve(samples: Samples) -> Curve:
    sizes = sorted((*CURVE, SMALL, LARGE))
    return {
        name: [(float(size), median_high(rounds)) for size in sizes if (rounds := samples.of(f"{name} {size}"))]
        for name in (LEDGER, CHORD)
    }


def _milliseconds_a_batch(rig: Rig, dispatch: Dispatch, batches: int) -> float:
    run_id = str(uuid4())
    with rig.redis.client(timeout=SECONDS + 30) as client:
        began = time.monotonic()
        dispatch(run_id, batches)
        done = client.blpop([f"bench:done:{run_id}"], timeout=SECONDS)
        seconds = time.monotonic() - began
    if done is None or int(done[1]) != batches:
        raise RunFailed(f"the fan-in of {batches} batches gave {done}")
    return seconds * 1000 / batches


@contextlib.contextmanager
def _both(rig: Rig) -> Iterator[Mapping[str, Dispatch]]:
    environment = environment_of(rig, LEDGER, SLOTS)
    # The other side logs warnings only, too.
    own = {"CELERY_QUEUES_FILE_PROCESSING": CALLBACK_QUEUE, "FILE_PROCESSING_HEALTH_PORT": "0", "LOG_LEVEL": "WARNING"}
    ours = (program("python"), "-m", "unstract_bench.ledger.worker", "run")
    with (
        running_process(process_of(rig, "ledger worker", ours, environment | own), rig),
        running_process(process_of(rig, "chord worker", chord_worker(SLOTS), {"BENCH_REDIS": rig.redis.url}), rig),
    ):
        os.environ["BENCH_REDIS"] = rig.redis.url  # the app's module reads it, here as in its worker
        from unstract_bench.baselines.chord_app import app, fan_out

        try:
            yield {LEDGER: dispatcher(environment), CHORD: fan_out}
        finally:
            # Results unsubscribe when they are collected, the last ones too late: after the interpreter's modules.
            app.backend.result_consumer.cancel_for = lambda _: None
            app.close()
