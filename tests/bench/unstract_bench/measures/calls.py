"""P6: HTTP calls per file, counted at the backend double by route, from the start message until the run is closed."""

from unstract_bench.double.process import Counts
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.measures.samples import Samples
from unstract_bench.rig import running_ground, running_workers
from unstract_bench.setting import Setting
from unstract_bench.workload import Load

__all__ = ["call_measures"]

FILES, BATCHES = 300, 30
LOADS = {
    "API, no history": (Load(FILES, BATCHES), Bar(4, 3.5)),
    "API, with history": (Load(FILES, BATCHES, history=True), Bar(5)),
    "ETL": (Load(FILES, BATCHES, kind="etl"), Bar(2.5, 2)),
}


def call_measures(setting: Setting) -> tuple[Measure, ...]:
    """P6."""
    samples, routes = Samples(), dict[str, Counts]()
    with (
        running_ground(setting.directory / "calls") as ground,
        running_workers(ground, slots=16),
    ):

        def once() -> None:
            setting.say("calls: API without and with history, ETL")
            for name, (load, _) in LOADS.items():
                ran = ground.run(load)
                samples.add(name, ran.counts.total / load.files)
                routes[name] = ran.counts
                ground.forget_logs()

        setting.repeat(once, lambda: _figures(samples))
    notes = tuple(line for name, counts in routes.items() for line in _routes(name, counts))
    title = f"HTTP calls per file, {FILES} files at 10 a batch"
    return (Measure("P6", title, _figures(samples), notes),)


def _figures(samples: Samples) -> tuple[Figure, ...]:
    return tuple(Figure(name, "calls / file", samples.of(name), held=bar) for name, (_, bar) in LOADS.items())


def _routes(name: str, counts: Counts) -> list[str]:
    """The routes that are called more than once in ten files."""
    files = FILES
    return [
        f"{name}: {worker}: {route}: {times / files:.2f} a file"
        for worker, called in counts.calls.items()
        for route, times in sorted(called.items(), key=lambda item: -item[1])
        if times * 10 > files
    ]
