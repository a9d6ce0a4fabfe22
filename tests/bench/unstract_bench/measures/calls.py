"""P6 and P10: HTTP calls a file and an execution, counted at the backend double by route.

P6 divides all calls of an execution of many files, from its start message until the run is closed. P10 counts what an
execution makes besides those for each of its files, including the recheck of the finished run.
"""

import re
from collections.abc import Mapping

from unstract_bench.double.calls import Calls
from unstract_bench.figures import Figure, Measure, Samples
from unstract_bench.rig import running_rig, running_workers
from unstract_bench.rounds import Made, Setting
from unstract_bench.workload import Load

FILES, BATCHES = 300, 30
# Each with its bar and stretch.
LOADS = {
    "API, no history": (Load(FILES, BATCHES), 3.5, 3.3),
    "API, with history": (Load(FILES, BATCHES, history=True), 4.6, 4.3),
    "ETL": (Load(FILES, BATCHES, kind="etl"), 2.5, 2.2),
}
SINGLE = {"API": Load(1, 1), "ETL": Load(1, 1, kind="etl")}
QUICK_SWEEPS = {"WORKER_RECHECK_SECONDS": "1", "WORKER_SWEEP_SECONDS": "0.5"}
# The calls for a file: its row and the row's statuses, its execution, its usage, its history.
_OF_A_FILE = re.compile(
    "POST v1/(file-execution/.*|workflow-manager/execute-file/|file-history/create/)"
    "|GET v1/(file-execution/.+|usage/.+|file-history/.+)"
)


def call_measures(setting: Setting) -> Made:
    """P6."""
    calls = dict[str, Calls]()
    with running_rig(setting.directory / "calls") as rig, running_workers(rig):

        def once(samples: Samples) -> None:
            for name, (load, *_) in LOADS.items():
                rig.run(load)
                calls[name] = rig.double.calls()
                samples.add(name, len(calls[name].calls) / load.files)

        samples = setting.repeat("calls: API without and with history, ETL", once, _figures)
    notes = (
        f"{name}: {worker}: {route}: {times / FILES:.2f} a file"
        for name, last in calls.items()
        for (worker, route), times in last.routes.items()
        if times * 10 > FILES
    )
    return (Measure("P6", f"HTTP calls per file, {FILES} files at 10 a batch", _figures(samples), tuple(notes)),), {}


def fixed_call_measures(setting: Setting) -> Made:
    """P10. An execution of one file is counted, of a workflow and a pipeline that the workers have not seen before."""
    routes = dict[str, Mapping[str, int]]()
    with running_rig(setting.directory / "fixed-calls") as rig, running_workers(rig, settings=QUICK_SWEEPS):

        def once(samples: Samples) -> None:
            for name, load in SINGLE.items():
                rig.run(load)
                rig.wait_rechecked()
                calls = rig.double.calls()
                routes[name] = fixed_calls(calls)
                samples.add(name, sum(routes[name].values()))
                samples.add(f"all {name}", len(calls.calls))

        once(Samples())  # warm the workers' caches
        samples = setting.repeat("fixed calls: executions of one file", once, _fixed)
    notes = (f"{name}: {route}: {times}" for name, fixed in routes.items() for route, times in fixed.items())
    return (Measure("P10", "HTTP calls an execution beside those for its files", _fixed(samples), tuple(notes)),), {}


def fixed_calls(calls: Calls) -> dict[str, int]:
    """The calls that do not depend on the number of files, by worker and route."""
    made = calls.routes.items()
    return {f"{worker}: {route}": times for (worker, route), times in made if not _OF_A_FILE.fullmatch(route)}


def _figures(samples: Samples) -> tuple[Figure, ...]:
    return tuple(
        Figure(name, "calls / file", samples.of(name), bar=bar, stretch=stretch)
        for name, (_, bar, stretch) in LOADS.items()
    )


def _fixed(samples: Samples) -> tuple[Figure, ...]:
    unit = "calls / execution"
    judged = Figure("API", unit, samples.of("API"), bar=10, stretch=8)
    more = samples.printed("all ", unit, label="with those for its file: ")
    return (judged, Figure("ETL", unit, samples.of("ETL")), *more)
