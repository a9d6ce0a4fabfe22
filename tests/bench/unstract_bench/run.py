"""Makes a run: the measures that were asked for, one after another."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from subprocess import SubprocessError

from unstract_bench.document import Curve, Run
from unstract_bench.environment import facts, use_environments
from unstract_bench.figures import Measure
from unstract_bench.measures.calls import call_measures, fixed_call_measures
from unstract_bench.measures.fan_in import fan_in_measures
from unstract_bench.measures.footprint import memory_measures, size_measures, start_measures
from unstract_bench.measures.growth import growth_measures
from unstract_bench.measures.latency import latency_measures
from unstract_bench.measures.throughput import load_measures, process_measures, slot_curves
from unstract_bench.rig import RunFailed, running_rig
from unstract_bench.rounds import Made, Setting
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError

# The errors of a process, a load or an installation that does not work.
FAILURES = (ProcessError, RunFailed, CallFailed, SubprocessError)
ALL = tuple(f"P{number}" for number in range(1, 13))
# By the ids of their measures (none for curves alone). The one that may take minutes comes last.
TRIALS: tuple[tuple[tuple[str, ...], Callable[[Setting], Made]], ...] = (
    (("P1", "P2"), memory_measures),
    (("P3",), start_measures),
    (("P4", "P5"), load_measures),
    (("P6",), call_measures),
    (("P10",), fixed_call_measures),
    (("P8",), size_measures),
    (("P9",), latency_measures),
    (("P12",), process_measures),
    (("P7",), fan_in_measures),
    ((), slot_curves),
    (("P11",), growth_measures),
)


def make(setting: Setting, wanted: frozenset[str], command: str) -> Run:
    """One run. A trial that fails leaves its measures without figures; the others still run."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    setting.report("the workers' wheels are built and installed, with nothing else")
    use_environments(setting.directory, setting.python)
    with running_rig(setting.directory / "facts") as rig, rig.redis.client() as client:
        machine = facts(setting.python, str(client.info("server")["redis_version"]))
    made: list[Measure] = []
    curves: dict[str, Curve] = {}
    for ids, trial in TRIALS:
        if not (setting.curves if not ids else wanted & set(ids)):
            continue
        try:
            measures, drawn = trial(setting)
        except FAILURES as error:
            setting.report(f"{', '.join(ids) or 'curves'} could not be measured: {error}")
            reason = f"could not be measured: {str(error).splitlines()[0]}"
            measures, drawn = tuple(Measure(each, "-", (), (reason,)) for each in ids), {}
        made += [each for each in measures if each.id in wanted]
        curves.update(drawn)
    ordered = tuple(sorted(made, key=lambda each: ALL.index(each.id)))
    return Run(started_at, time.monotonic() - setting.began, command, machine, ordered, curves)
