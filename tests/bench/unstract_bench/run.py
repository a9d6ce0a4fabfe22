"""Makes a run: the measures that were asked for, one after another."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from subprocess import SubprocessError

from unstract_bench.document import Curve, Run
from unstract_bench.environment import facts, use_environments
from unstract_bench.figures import Measure
from unstract_bench.measures.calls import call_measures, fixed_call_measures
from unstract_bench.measures.fan_in import fan_in_measures
from unstract_bench.measures.growth import growth_measures
from unstract_bench.measures.latency import latency_measures
from unstract_bench.measures.load import load_measures
from unstract_bench.measures.memory import memory_measures, size_measures
from unstract_bench.measures.processes import process_measures
from unstract_bench.measures.slots import slot_curves
from unstract_bench.measures.starting import start_measures
from unstract_bench.rig import RunFailed, running_rig
from unstract_bench.rounds import Setting
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError

Made = tuple[tuple[Measure, ...], Mapping[str, Curve]]
# The errors of a process, a load or an installation that does not work.
FAILURES = (ProcessError, RunFailed, CallFailed, SubprocessError)
ALL = tuple(f"P{number}" for number in range(1, 13))


def make(setting: Setting, wanted: frozenset[str], command: str, committed: Run | None) -> Run:
    """One run. `committed`: where P11's figures come from if this run has no time for it."""
    started_at = datetime.now(UTC).isoformat(timespec="seconds")
    setting.report("the workers' wheels are built and installed, with nothing else")
    use_environments(setting.directory, setting.python)
    with running_rig(setting.directory / "facts") as rig, rig.redis.client() as client:
        machine = facts(setting.python, str(client.info("server")["redis_version"]))
    made: list[Measure] = []
    curves: dict[str, Curve] = {}
    for ids, part in _parts(setting, committed):
        if (setting.curves and not ids) or wanted & set(ids):
            measures, drawn = _attempt(setting, ids, part)
            made += [each for each in measures if each.id in wanted]
            curves.update(drawn)
    ordered = tuple(sorted(made, key=lambda each: ALL.index(each.id)))
    return Run(started_at, time.monotonic() - setting.began, command, machine, ordered, curves)


def _parts(setting: Setting, committed: Run | None) -> tuple[tuple[tuple[str, ...], Callable[[], Made]], ...]:
    """The parts, by the ids of their measures (none for curves alone). The one that may take minutes comes last."""
    return (
        (("P1", "P2"), lambda: (memory_measures(setting), {})),
        (("P3",), lambda: (start_measures(setting), {})),
        (("P4", "P5"), lambda: (load_measures(setting), {})),
        (("P6",), lambda: (call_measures(setting), {})),
        (("P10",), lambda: (fixed_call_measures(setting), {})),
        (("P8",), lambda: (size_measures(setting), {})),
        (("P9",), lambda: (latency_measures(setting), {})),
        (("P12",), lambda: (process_measures(setting), {})),
        (("P7",), lambda: fan_in_measures(setting)),
        ((), lambda: ((), slot_curves(setting))),
        (("P11",), lambda: (growth_measures(setting, committed), {})),
    )


def _attempt(setting: Setting, ids: tuple[str, ...], part: Callable[[], Made]) -> Made:
    """Run a part. If it fails, its measures have no figures, and the other parts are run all the same."""
    try:
        return part()
    except FAILURES as error:
        setting.report(f"{', '.join(ids) or 'curves'} could not be measured: {error}")
        reason = f"could not be measured: {str(error).splitlines()[0]}"
        return tuple(Measure(each, "-", (), (reason,)) for each in ids), {}
