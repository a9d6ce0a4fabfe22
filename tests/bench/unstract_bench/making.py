"""Makes the measures that were asked for, and a run of them."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from subprocess import SubprocessError

from attrs import frozen

from unstract_bench.document import Curve, Run
from unstract_bench.figures import Measure
from unstract_bench.machine import facts
from unstract_bench.measures.calls import call_measures
from unstract_bench.measures.fan_in import fan_in_measures
from unstract_bench.measures.load import load_measures
from unstract_bench.measures.memory import memory_measures
from unstract_bench.measures.size import size_measures
from unstract_bench.measures.slots import slot_curves
from unstract_bench.measures.starting import start_measures
from unstract_bench.plain import use_plain_environment
from unstract_bench.rig import NotDone, running_ground
from unstract_bench.setting import Setting
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.processes import ProcessError

__all__ = ["ALL", "make"]


Made = tuple[tuple[Measure, ...], Mapping[str, Curve]]
# What a process, a load or an installation that does not work raises.
_FAILURES = (ProcessError, NotDone, CallFailed, SubprocessError)


@frozen
class _Part:
    """Measures that are made together, with their curves if there are any."""

    ids: tuple[str, ...]
    make: Callable[[Setting], Made]


def _only(make: Callable[[Setting], tuple[Measure, ...]]) -> Callable[[Setting], Made]:
    return lambda setting: (make(setting), {})


def _fan_in(setting: Setting) -> Made:
    measures, curve = fan_in_measures(setting)
    return measures, {"fan-in": curve}


def _curves(setting: Setting) -> Made:
    rates, memory = slot_curves(setting)
    return (), {"rates": rates, "memory": memory}


def _tried(setting: Setting, part: _Part, curves: dict[str, Curve]) -> tuple[Measure, ...]:
    """The part's measures; where it failed they are there without figures, and the others are made all the same."""
    try:
        measures, drawn = part.make(setting)
    except _FAILURES as error:
        setting.say(f"{', '.join(part.ids) or 'curves'} could not be measured: {error}")
        reason = f"could not be measured: {str(error).splitlines()[0]}"
        return tuple(Measure(each, "-", (), (reason,)) for each in part.ids)
    curves.update(drawn)
    return measures


PARTS = (
    _Part(("P1", "P2"), _only(memory_measures)),
    _Part(("P3",), _only(start_measures)),
    _Part(("P4", "P5"), _only(load_measures)),
    _Part(("P6",), _only(call_measures)),
    _Part(("P8",), _only(size_measures)),
    _Part(("P7",), _fan_in),
)
ALL = tuple(f"P{number}" for number in range(1, 9))


def make(setting: Setting, wanted: frozenset[str], command: str) -> Run:
    """One run. Curves are drawn where everything is wanted and the run is not the short one."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    setting.say("the workers' wheels are built and installed, with nothing else")
    use_plain_environment(setting.directory)
    with running_ground(setting.directory / "facts") as ground:
        machine = facts(ground)
    made: list[Measure] = []
    curves: dict[str, Curve] = {}
    for part in PARTS:
        if wanted & set(part.ids):
            made += [each for each in _tried(setting, part, curves) if each.id in wanted]
    if not setting.short and wanted >= set(ALL):
        _tried(setting, _Part((), _curves), curves)
    ordered = tuple(sorted(made, key=lambda each: each.id))
    return Run(started_at, time.monotonic() - began, command, machine, ordered, curves)
