"""The JSON of a run, the page and its plots, and the comparison of two runs."""

import json
from xml.etree import ElementTree as ET

import pytest
from attrs import evolve

from unstract_bench.compare import Kind, compare
from unstract_bench.document import Run, document, read
from unstract_bench.figures import Bar, Figure, Measure
from unstract_bench.page import page, plots

MACHINE = {
    "cpu": "some", "cores": 2, "memory_mib": 8000, "kernel": "6", "python": "3.11", "redis": "7",
    "load_average_before": 0.1, "versions": {"celery": "5.7.0"},
}  # fmt: skip
MEMBERS = {
    "value", "baseline", "baseline_name", "ratio", "unit", "judged_on", "bar", "stretch", "met", "stretch_met",
    "min", "max", "rounds", "spread",
}  # fmt: skip


def run_of(values=(2.0, 2.2, 2.1), baselines=(4.0, 4.0, 4.0)) -> Run:
    ratio = Figure("a worker", "s", values, baselines, "bare Celery", Bar(1.0, 0.75, ratio=True))
    told = Figure("CPU", "s", (1.0,))
    fleet = Figure("all four", "MiB", (150.0, 151.0, 152.0), held=Bar(160, 140))
    measures = (Measure("P2", "memory", (fleet,)), Measure("P3", "start", (ratio, told), ("a note",)))
    curves = {"rates": {"ours": [(1.0, 9.0), (200.0, 700.0)]}, "fan-in": {"ledger": [(10.0, 3.0), (20000.0, 2.0)]}}
    return Run("2026-01-02T03:04:05+00:00", 12.3, "hatch run bench", MACHINE, measures, curves)


def test_the_document_has_its_documented_shape():
    told = json.loads(json.dumps(document(run_of())))
    assert set(told) == {"schema", "started_at", "seconds", "command", "machine", "measures", "curves"}
    assert set(told["measures"]) == {"P2", "P3"}
    measure = told["measures"]["P3"]
    assert set(measure) == MEMBERS | {"title", "verdict", "name", "notes", "figures"}
    assert all(set(figure) >= MEMBERS for figure in measure["figures"])
    assert {key: measure[key] for key in ("value", "baseline", "ratio", "bar", "stretch", "met", "stretch_met")} == {
        "value": 2.1, "baseline": 4.0, "ratio": 0.525, "bar": 1.0, "stretch": 0.75, "met": True, "stretch_met": True,
    }  # fmt: skip
    assert (measure["min"], measure["max"], measure["rounds"], measure["judged_on"]) == (0.5, 0.55, 3, "ratio")


def test_what_cannot_be_judged_is_null_and_not_false():
    told = document(run_of(values=(2.0, 8.0), baselines=(4.0, 4.0)))["measures"]["P3"]
    assert told["met"] is None
    assert told["verdict"] == "not judged"


def test_a_document_is_read_back_whole():
    written = json.loads(json.dumps(document(run_of())))
    assert document(read(written)) == written


def test_another_schema_is_refused():
    with pytest.raises(ValueError, match="schema 7"):
        read({"schema": 7})


def test_a_ratio_beyond_the_noise_is_worse():
    changes = compare(run_of(), run_of(values=(3.0, 3.0, 3.0)))
    assert {change.figure: change.kind for change in changes} == {"all four": Kind.SAME, "a worker": Kind.WORSE}


def test_a_change_within_the_spread_is_none():
    noisy = run_of(values=(2.0, 2.6, 1.6))
    assert {change.kind for change in compare(noisy, run_of(values=(2.4, 2.5, 2.4)))} == {Kind.SAME}


def test_a_slower_machine_is_no_regression_where_the_baseline_is_slower_too():
    slower = run_of(values=(20.0, 22.0, 21.0), baselines=(40.0, 40.0, 40.0))
    assert {change.kind for change in compare(run_of(), slower)} == {Kind.SAME}


def test_a_figure_held_by_its_value_is_still_compared_by_its_ratio():
    def absolute(values, baselines):
        run = run_of()
        figure = Figure("wall", "x", values, baselines, "bare Celery", Bar(2.0))
        return evolve(run, measures=(Measure("P4", "load", (figure,)),))

    before = absolute((1.2, 1.2, 1.2), (2.4, 2.4, 2.4))
    assert compare(before, absolute((1.8, 1.8, 1.8), (3.6, 3.6, 3.6)))[0].kind is Kind.SAME
    assert compare(before, absolute((1.8, 1.8, 1.8), (2.4, 2.4, 2.4)))[0].kind is Kind.WORSE


def test_what_got_better_is_told_and_what_was_not_judged_too():
    assert compare(run_of(), run_of(values=(1.0, 1.0, 1.0)))[1].kind is Kind.BETTER
    assert compare(run_of(), run_of(values=(2.0, 2.0)))[1].kind is Kind.NOT_JUDGED


def test_a_figure_that_one_of_the_runs_lacks_is_not_compared():
    assert compare(evolve(run_of(), measures=()), run_of()) == ()


def test_the_page_tells_only_what_was_measured():
    told = page(run_of())
    assert "| P3 | start | a worker | 2.1 s | 4 (bare Celery) | 0.525 | ratio 1 | 0.75 | met, stretch too |" in told
    assert "P4" not in told
    assert "a note" in told


def test_plots_are_svg_and_only_of_curves_that_there_are():
    made = plots(run_of())
    assert set(made) == {"rates.svg", "fan-in.svg", "fleet.svg"}
    for svg in made.values():
        assert ET.fromstring(svg).tag.endswith("svg")  # noqa: S314 - our own
    assert f"({next(iter(made))})" in page(run_of())
