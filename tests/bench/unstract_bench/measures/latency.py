"""P9: how long one execution of one file takes on an idle fleet, beside a celery.chord that makes the same calls.

From before the start message is published until the answer to the terminal status is sent, without the time in which
the backend was answering a call. The chord's three processes (orchestrator, header, callback) make exactly the calls
that the double recorded of the workers, in their order.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from statistics import quantiles
from uuid import uuid4

from celery import Celery

from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import Rig, process_of, running_process, running_rig, running_workers
from unstract_bench.rounds import Made, Setting
from unstract_bench.runners import chord_worker
from unstract_bench.workload import Load
from unstract_devstack.fleet import API_DEPLOYMENT, CALLBACK, FILE_PROCESSING

EXECUTIONS, EXECUTIONS_SHORT = 100, 34
CHORD = "celery.chord"
QUEUES = ("bench_start", "bench_files", "bench_end")
ROLES = {API_DEPLOYMENT.name: "orchestrator"}
PERCENTILES = (50, 95)
# Subtracted from the result, so they may be short.
EXECUTE_SECONDS, OTHER_SECONDS = 0.01, 0.002


def latency_measures(setting: Setting) -> Made:
    """P9."""
    number, kinds = EXECUTIONS_SHORT if setting.short else EXECUTIONS, (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK)
    with running_rig(setting.directory / "latency") as rig, running_workers(rig, kinds=kinds):
        rig.double.latencies(execute=EXECUTE_SECONDS, other=OTHER_SECONDS)
        _record(rig)
        with _chord(rig) as theirs:
            runs: dict[str, Callable[[], float]] = {"ours": lambda: _ours(rig), "theirs": theirs}

            def once(samples: Samples, executions: int = number) -> None:
                seconds: dict[str, list[float]] = {name: [] for name in runs}
                for _ in range(executions):
                    for name, run in runs.items():
                        seconds[name].append(run() * 1000)
                for name, values in seconds.items():
                    for share in PERCENTILES:
                        samples.add(f"{name} {share}", quantiles(values, n=100, method="inclusive")[share - 1])

            once(Samples(), 3)
            text = f"latency: {number} executions of one file, in turn with a chord"
            figures = _figures(setting.repeat(text, once, _figures))
    title = f"one execution of one file on an idle fleet, without the backend's own time, over {CHORD}"
    return (Measure("P9", title, figures),), {}


def _figures(samples: Samples) -> tuple[Figure, ...]:
    return tuple(
        Figure(
            f"p{share}",
            "ms",
            samples.of(f"ours {share}"),
            samples.of(f"theirs {share}"),
            CHORD,
            1.3,
            1.0,
            spread_limit=0.3,
        )
        for share in PERCENTILES
    )


def _seconds(rig: Rig, began: float, ended: float) -> float:
    """Without the time in which the backend was answering."""
    return ended - began - rig.double.calls().busy(ended)


def _ours(rig: Rig) -> float:
    result = rig.run(Load(1, 1))
    return _seconds(rig, result.began, result.ended)


def _record(rig: Rig) -> None:
    """Record the workers' calls up to the terminal status, by role, for the chord's processes."""
    rig.run(Load(1, 1))  # warm the workers' caches
    result = rig.run(Load(1, 1), record=True)
    calls: dict[str, list[tuple[str, str, str]]] = {}
    for call in rig.double.calls().calls:
        if call.ended <= result.ended:
            calls.setdefault(ROLES.get(call.worker, call.worker), []).append((call.method, call.path, call.body or ""))
    with rig.redis.client() as client:
        client.set("bench:calls", json.dumps(calls).replace(result.execution_id, "EXECUTION_ID"))


@contextlib.contextmanager
def _chord(rig: Rig) -> Iterator[Callable[[], float]]:
    environment, command = {"BENCH_REDIS": rig.redis.url}, chord_worker(16)
    with contextlib.ExitStack() as parts:
        for queue in QUEUES:
            process = process_of(rig, f"chord {queue}", (*command, "-Q", queue, "-n", f"{queue}@bench"), environment)
            parts.enter_context(running_process(process, rig))
        app = parts.enter_context(Celery("sender", broker=rig.redis.url, set_as_current=False))

        def run() -> float:
            execution, double = str(uuid4()), rig.double
            double.reset()
            double.open(execution, str(uuid4()), kind="api", files=1, batches=1)
            began = time.monotonic()
            app.send_task("bench.start", [double.url(CHORD), execution], queue=QUEUES[0], ignore_result=True)
            return _seconds(rig, began, double.wait_over(execution)["over_at"])

        yield run
