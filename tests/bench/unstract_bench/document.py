"""The JSON of a run, as `--json` prints it and `results.json` keeps it.

    {"schema": 1, "started_at": ISO 8601, "seconds": 301.2, "command": "hatch run bench --ci",
     "machine": {"cpu": ..., "cores": 2, "memory_mib": ..., "kernel": ..., "python": ..., "redis": ..., "versions": {}},
     "measures": {"P1": {"title", "verdict", "value", "baseline", "baseline_name", "ratio", "unit", "judged_on",
                         "bar", "stretch", "better", "met", "stretch_met", "min", "max", "rounds", "spread",
                         "measured_on", "notes": [...],
                         "figures": [{"name", ..., the same members, "values", "baselines"}]}},
     "curves": {"files_per_second": {"label": [[x, y], ...]}, ...}}

A measure's members are those of its leading figure: the one that uses up most of its bar; `met` of a measure says that
all of its figures are at their bars. `value`, `baseline` and `ratio` are medians; `min` and `max` are of what is judged
(`judged_on`: value or ratio); `better` is lower or higher; `spread` is their width over the median, from five rounds on
without the lowest and the highest. `met` is null where the rounds allow no judgement. `measured_on` names the run that
a figure was taken from, if it is not this one.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import cattrs
from attrs import asdict, field, frozen

from unstract_bench.figures import Figure, Measure, Verdict

SCHEMA = 1
OF_FIGURES_ONLY = ("values", "baselines", "spread_limit", "least_rounds")
CONVERTER = cattrs.Converter(detailed_validation=False)
Curve = Mapping[str, Sequence[tuple[float, float]]]


@frozen
class Run:
    """One run of the command: when, where, what."""

    started_at: str
    seconds: float
    command: str
    machine: Mapping[str, Any]
    measures: tuple[Measure, ...]
    curves: Mapping[str, Curve] = field(factory=dict)

    def figures_of(self, identifier: str) -> Mapping[str, Figure]:
        """The figures of a measure by their names; none if the run does not have it."""
        return {each.name: each for made in self.measures if made.id == identifier for each in made.figures}


def document(run: Run) -> dict[str, Any]:
    """The run as JSON."""
    measures = {each.id: _measure(each) for each in run.measures}
    return {"schema": SCHEMA, **asdict(run, recurse=False), "seconds": round(run.seconds, 1), "measures": measures}


def read(content: Mapping[str, Any]) -> Run:
    """The run that a document was made from. Raises ValueError for another schema, KeyError and TypeError."""
    if content.get("schema") != SCHEMA:
        raise ValueError(f"results of schema {content.get('schema')!r}; this command reads {SCHEMA}")
    measures = [{"id": name, **measure} for name, measure in content["measures"].items()]
    return Run(
        **{name: content[name] for name in ("started_at", "seconds", "command", "machine", "curves")},
        measures=CONVERTER.structure(measures, tuple[Measure, ...]),
    )


def _measure(measure: Measure) -> dict[str, Any]:
    leading = {name: value for name, value in _figure(measure.leading).items() if name not in OF_FIGURES_ONLY}
    own = {"title": measure.title, "verdict": measure.verdict.value, "met": _met(measure.verdict)}
    return {**leading, **own, "notes": list(measure.notes), "figures": [_figure(each) for each in measure.figures]}


def _figure(figure: Figure) -> dict[str, Any]:
    judged = figure.judged
    return asdict(figure) | {
        "values": [_rounded(each) for each in figure.values],
        "baselines": [_rounded(each) for each in figure.baselines],
        **{
            name: _rounded(median(values)) if values else None
            for name, values in (("value", figure.values), ("baseline", figure.baselines), ("ratio", figure.ratios))
        },
        "judged_on": None if figure.bar is None else "ratio" if figure.baseline_name else "value",
        "met": _met(figure.verdict),
        "stretch_met": figure.stretch_met,
        "min": _rounded(min(judged)) if judged else None,
        "max": _rounded(max(judged)) if judged else None,
        "rounds": len(judged),
        "spread": _rounded(figure.spread),
    }


def _met(verdict: Verdict | None) -> bool | None:
    return None if verdict in (None, Verdict.NOT_JUDGED) else verdict is Verdict.MET


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
