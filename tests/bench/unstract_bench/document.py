"""The JSON of a run, as `--json` prints it and `results.json` keeps it.

    {"schema": 1, "started_at": ISO 8601, "seconds": 301.2, "command": "hatch run bench --ci",
     "machine": {"cpu": ..., "cores": 2, "memory_mib": ..., "kernel": ..., "python": ..., "redis": ..., "versions": {}},
     "measures": {"P1": {"title", "verdict", "value", "baseline", "baseline_name", "ratio", "unit", "judged_on",
                         "bar", "stretch", "met", "stretch_met", "min", "max", "rounds", "spread",
                         "notes": [...], "figures": [{"name", ..., the same members, "values", "baselines"}]}},
     "curves": {"files_per_second": {"label": [[x, y], ...]}, ...}}

A measure's members are those of its leading figure: the one that uses up most of its bar; `met` of a measure says that
all of its figures are at their bars. `value`, `baseline` and `ratio` are medians; `min` and `max` are of what is judged
(`judged_on`: value or ratio); `spread` is their width over the median, from five rounds on without the lowest and the
highest. `met` is null where the rounds allow no judgement.
"""

from collections.abc import Mapping
from statistics import median
from typing import Any

from attrs import field, frozen

from unstract_bench.figures import Bar, Figure, Measure, Verdict

__all__ = ["Run", "document", "read"]

SCHEMA = 1
Curve = Mapping[str, list[tuple[float, float]]]


@frozen
class Run:
    """One run of the command: when, where, what."""

    started_at: str
    seconds: float
    command: str
    machine: Mapping[str, Any]
    measures: tuple[Measure, ...]
    curves: Mapping[str, Curve] = field(factory=dict)


def document(run: Run) -> dict[str, Any]:
    """The run as JSON."""
    return {
        "schema": SCHEMA,
        "started_at": run.started_at,
        "seconds": round(run.seconds, 1),
        "command": run.command,
        "machine": dict(run.machine),
        "measures": {each.id: _measure(each) for each in run.measures},
        "curves": {name: dict(curve) for name, curve in run.curves.items()},
    }


def read(content: Mapping[str, Any]) -> Run:
    """The run that a document was made from. Raises ValueError for another schema."""
    if content.get("schema") != SCHEMA:
        raise ValueError(f"results of schema {content.get('schema')!r}; this command reads {SCHEMA}")
    return Run(
        started_at=content["started_at"],
        seconds=content["seconds"],
        command=content["command"],
        machine=content["machine"],
        measures=tuple(_read_measure(name, each) for name, each in content["measures"].items()),
        curves=content["curves"],
    )


def _measure(measure: Measure) -> dict[str, Any]:
    whole = {
        "title": measure.title,
        "verdict": measure.verdict.value,
        **_figure(measure.leading),
        "met": _met(measure.verdict),
        "notes": list(measure.notes),
    }
    return whole | {"figures": [_figure(each, rounds=True) for each in measure.figures]}


def _figure(figure: Figure, *, rounds: bool = False) -> dict[str, Any]:
    held, judged = figure.held, figure.judged
    told: dict[str, Any] = {
        "name": figure.name,
        "unit": figure.unit,
        "value": _median(figure.values),
        "baseline": _median(figure.baselines),
        "baseline_name": figure.baseline_name or None,
        "ratio": _median(figure.ratios),
        "judged_on": None if held is None else "ratio" if held.ratio else "value",
        "bar": None if held is None else held.bar,
        "stretch": None if held is None else held.stretch,
        "met": _met(figure.verdict),
        "stretch_met": figure.stretched,
        "min": _rounded(min(judged)) if judged else None,
        "max": _rounded(max(judged)) if judged else None,
        "rounds": len(judged),
        "spread": _rounded(figure.spread),
    }
    if rounds:
        told |= {"values": [_rounded(each) for each in figure.values]}
        told |= {"baselines": [_rounded(each) for each in figure.baselines]}
        told |= {"spread_limit": figure.spread_limit, "least_rounds": figure.least_rounds}
    return told


def _read_measure(name: str, content: Mapping[str, Any]) -> Measure:
    figures = tuple(_read_figure(each) for each in content["figures"])
    return Measure(name, content["title"], figures, tuple(content["notes"]))


def _read_figure(content: Mapping[str, Any]) -> Figure:
    held = None
    if content["bar"] is not None:
        held = Bar(content["bar"], content["stretch"], ratio=content["judged_on"] == "ratio")
    return Figure(
        content["name"],
        content["unit"],
        tuple(content["values"]),
        tuple(content["baselines"]),
        content["baseline_name"] or "",
        held,
        content["spread_limit"],
        content["least_rounds"],
    )


def _met(verdict: Verdict | None) -> bool | None:
    return None if verdict in (None, Verdict.NOT_JUDGED) else verdict is Verdict.MET


def _median(values: tuple[float, ...]) -> float | None:
    return _rounded(median(values)) if values else None


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
