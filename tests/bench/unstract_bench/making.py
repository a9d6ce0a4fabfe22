"""Makes the measures that were asked for, and a run of them."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

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
from unstract_bench.rig import running_ground
from unstract_bench.setting import Setting

__all__ = ["ALL", "make"]


@frozen
class _Part:
    """Measures that are made together."""

    ids: tuple[str, ...]
    make: Callable[[Setting], tuple[Measure, ...]]


PARTS = (
    _Part(("P1", "P2"), memory_measures),
    _Part(("P3",), start_measures),
    _Part(("P4", "P5"), load_measures),
    _Part(("P6",), call_measures),
    _Part(("P8",), size_measures),
)
FAN_IN = "P7"
ALL = tuple(f"P{number}" for number in range(1, 9))


def make(setting: Setting, wanted: frozenset[str], command: str) -> Run:
    """One run. Curves are drawn where everything is wanted and the run is not the short one."""
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with running_ground(setting.directory / "facts") as ground:
        machine = facts(ground)
    made: list[Measure] = []
    curves: dict[str, Curve] = {}
    for part in PARTS:
        if wanted & set(part.ids):
            made += [each for each in part.make(setting) if each.id in wanted]
    if FAN_IN in wanted:
        measures, curves["fan-in"] = fan_in_measures(setting)
        made += measures
    if not setting.short and wanted >= set(ALL):
        curves["rates"], curves["memory"] = slot_curves(setting)
    ordered = tuple(sorted(made, key=lambda each: each.id))
    return Run(started_at, time.monotonic() - began, command, machine, ordered, curves)
