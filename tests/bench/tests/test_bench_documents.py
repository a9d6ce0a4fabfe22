"""The JSON of a run, the page and its plots, the comparison of two runs, and figures of the committed one."""

import json
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from unstract_bench.compare import Kind, compare
from unstract_bench.document import Run, document, read
from unstract_bench.figures import Figure, Measure, Verdict
from unstract_bench.measures.growth import committed_figures
from unstract_bench.page import page, plots

MACHINE = {
    "cpu": "some", "cores": 2, "memory_mib": 8000, "kernel": "6", "python": "3.11", "redis": "7",
    "load_average_before": 0.1, "versions": {"celery": "5.7.0", "unstract-worker-core": "1.0"},
}  # fmt: skip
MEMBERS = {
    "value", "baseline", "baseline_name", "ratio", "unit", "judged_on", "bar", "stretch", "better", "met",
    "stretch_met", "min", "max", "rounds", "spread", "measured_on",
}  # fmt: skip


def run_of(values=(2.0, 2.2, 2.1), baselines=(4.0, 4.0, 4.0), *, named="bare Celery", **more) -> Run:
    ratio = Figure("a worker", "s", values, baselines, named, **({"bar": 1.0, "stretch": 0.75} | more))
    fleet = Figure("all four", "MiB", (150.0, 151.0, 152.0), bar=160, stretch=140)
    printed = Figure("CPU", "s", (1.0,))
    measures = (Measure("P2", "memory", (fleet,)), Measure("P3", "start", (ratio, printed), ("a note",)))
    curves = {"rates": {"ours": [(1.0, 9.0), (200.0, 700.0)]}, "fan-in": {"ledger": [(10.0, 3.0), (20000.0, 2.0)]}}
    return Run("2026-01-02T03:04:05+00:00", 12.3, "hatch run bench", MACHINE, measures, curves)


def test_the_document_has_its_documented_shape():
    content = json.loads(json.dumps(document(run_of())))
    assert set(content) == {"schema", "started_at", "seconds", "command", "machine", "measures", "curves"}
    assert set(content["measures"]) == {"P2", "P3"}
    measure = content["measures"]["P3"]
    assert set(measure) == MEMBERS | {"title", "verdict", "name", "notes", "figures"}
    assert all(set(figure) >= MEMBERS for figure in measure["figures"])
    assert {key: measure[key] for key in ("value", "baseline", "ratio", "bar", "stretch", "met", "stretch_met")} == {
        "value": 2.1, "baseline": 4.0, "ratio": 0.525, "bar": 1.0, "stretch": 0.75, "met": True, "stretch_met": True,
    }  # fmt: skip
    assert (measure["min"], measure["max"], measure["rounds"], measure["judged_on"]) == (0.5, 0.55, 3, "ratio")


def test_what_cannot_be_judged_is_null_and_not_false():
    measure = document(run_of(values=(2.0, 8.0), baselines=(4.0, 4.0)))["measures"]["P3"]
    assert measure["met"] is None
    assert measure["verdict"] == "not judged"


def test_a_document_is_read_back_whole():
    for run in (run_of(), run_of(bar=3.4, better="higher")):
        written = json.loads(json.dumps(document(run)))
        assert document(read(written)) == written


def test_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema 7"):
        read({"schema": 7})


@pytest.mark.parametrize(
    ("before", "now", "kind"),
    [
        ({}, {"values": (3.0, 3.0, 3.0)}, Kind.WORSE),
        ({"values": (2.0, 2.6, 1.6)}, {"values": (2.4, 2.5, 2.4)}, Kind.SAME),  # within the spread
        ({}, {"values": (20.0, 22.0, 21.0), "baselines": (40.0, 40.0, 40.0)}, Kind.SAME),  # a slower machine
        ({}, {"values": (1.0, 1.0, 1.0)}, Kind.BETTER),
        ({}, {"values": (1.0, 1.0, 1.0), "better": "higher"}, Kind.WORSE),
        ({}, {"values": (2.0, 2.0)}, Kind.NOT_JUDGED),
    ],
)
def test_what_became_of_a_figure(before, now, kind):
    changes = {change.figure: change.kind for change in compare(run_of(**before), run_of(**now))}
    assert changes == {"all four": Kind.SAME, "a worker": kind}


def test_what_cannot_be_compared_is_not():
    before, now = run_of(), run_of(values=(9.0, 9.0, 9.0))
    without = run_of(baselines=(), named=None, bar=3.0)  # a value then, a ratio now
    carried = [
        evolve(each, figures=tuple(evolve(f, measured_on="before") for f in each.figures)) for each in now.measures
    ]
    assert list(compare(evolve(before, measures=()), now)) == []
    assert [change.figure for change in compare(without, now)] == ["all four"]
    assert list(compare(before, evolve(now, measures=tuple(carried)))) == []


def test_the_page_has_only_what_was_measured():
    text = page(run_of())
    assert "| P3 | start | a worker | 2.1 s | 4 (bare Celery) | 0.525 | ratio 1 | 0.75 | met, stretch too |" in text
    assert "P4:" not in text
    assert "a note" in text


def test_plots_are_svg_and_only_of_curves_that_there_are():
    made = plots(run_of())
    assert set(made) == {"rates.svg", "fan-in.svg", "fleet.svg"}
    for svg in made.values():
        assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    assert f"({next(iter(made))})" in page(run_of())


def test_figures_of_the_committed_run_say_from_which_day_they_are():
    wanted = (Figure("CPU", "ms", (), bar=1.2, least_rounds=1),)
    measured = Figure("CPU", "ms", (3.0,), (2.8,), "1,000 files", 1.2, least_rounds=1)
    committed = evolve(run_of(), measures=(Measure("P11", "growth", (measured,)),))
    (figure,), (note,) = committed_figures(wanted, committed)
    assert (figure.verdict, figure.measured_on) == (Verdict.MET, "2026-01-02, core 1.0")
    assert "not this run's figures but those of 2026-01-02" in note
    assert "(run of 2026-01-02, core 1.0)" in page(evolve(committed, measures=(Measure("P11", "growth", (figure,)),)))
    for nothing in (None, run_of()):
        (figure,), _ = committed_figures(wanted, nothing)
        assert figure.verdict is Verdict.NOT_JUDGED
