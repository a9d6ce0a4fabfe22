"""How figures are judged: medians, spread, agreement of the rounds, exit codes. Nothing here measures anything."""

import pytest

from unstract_bench.cli import exit_code
from unstract_bench.compare import Change, Kind
from unstract_bench.figures import Figure, Measure, Samples, Verdict, spread_of, trimmed

MET, NOT_MET, NOT_JUDGED = Verdict.MET, Verdict.NOT_MET, Verdict.NOT_JUDGED


def figure(*values: float, bar: float | None = 2.0, **more) -> Figure:
    return Figure("f", "s", values, bar=bar, **more)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ((1.9, 1.95, 2.1), MET),  # the median, not the mean
        ((2.05, 2.1, 1.9), NOT_MET),
        ((2.0, 2.0, 2.0), MET),  # what equals the bar is at it
        ((1.0, 1.9, 3.0), NOT_JUDGED),  # on both sides, and they vary
        ((0.5, 1.0, 1.9), MET),  # on one side
        ((2.5, 4.0, 9.0), NOT_MET),
        ((1.0, 1.0), NOT_JUDGED),  # too few
        ((), NOT_JUDGED),
        ((1.0, 1.0, 1.1, 1.1, 40.0), MET),  # five leave out the lowest and the highest
    ],
)
def test_the_rounds_decide(values, verdict):
    assert figure(*values).verdict is verdict


def test_a_figure_may_need_one_round_only_or_no_verdict_at_all():
    assert figure(1.0, least_rounds=1).verdict is MET
    assert figure(1.0, 2.0, 9.0, bar=None).verdict is None


def test_ratios_are_taken_round_by_round_and_are_what_is_judged():
    slower_machine = figure(1.0, 10.0, 1.0, baselines=(2.0, 20.0, 2.0), baseline_name="base", bar=0.6)
    assert slower_machine.ratios == (0.5, 0.5, 0.5)
    assert slower_machine.spread == 0
    assert slower_machine.verdict is MET
    assert figure(5.0, 5.0, 5.0, baselines=(10.0,) * 3, baseline_name="base", bar=0.4).verdict is NOT_MET


def test_where_higher_is_better_the_bar_is_the_least():
    good, bad = (figure(*(each,) * 3, bar=3.4, stretch=3.8, better="higher") for each in (3.9, 3.0))
    assert (good.verdict, good.stretch_met) == (MET, True)
    assert (bad.verdict, bad.stretch_met) == (NOT_MET, False)
    assert good.used < 1 < bad.used


def test_spread_is_the_width_over_the_median_of_what_is_kept():
    assert trimmed([5, 1, 9, 2, 3]) == (2, 3, 5)
    assert trimmed([4, 1, 9]) == (1, 4, 9)
    assert spread_of([1.0, 2.0, 4.0]) == pytest.approx(1.5)
    assert spread_of([3.0]) == spread_of([]) == 0


@pytest.mark.parametrize(
    ("values", "reached"), [((1.0,) * 3, True), ((1.5,) * 3, False), ((0.5, 1.0, 9.0), None), ((1.0,), None)]
)
def test_the_stretch_is_reported_where_a_judgement_is_possible(values, reached):
    assert figure(*values, stretch=1.0).stretch_met is reached


def test_a_measure_is_as_good_as_its_worst_figure_and_the_one_closest_to_its_bar_leads():
    good, near, bad, unknown = figure(1, 1, 1), figure(1.9, 1.9, 1.9), figure(3, 3, 3), figure(1, 1)
    printed = figure(9, 9, 9, bar=None)
    assert Measure("P1", "t", (good, printed)).verdict is MET
    assert Measure("P1", "t", (good, unknown)).verdict is NOT_JUDGED
    assert Measure("P1", "t", (good, unknown, bad)).verdict is NOT_MET
    assert Measure("P1", "t", (printed,)).verdict is NOT_JUDGED
    assert Measure("P1", "t", (printed, good, near)).leading is near


def test_samples_are_kept_by_name():
    samples = Samples()
    samples.add("ours", 2.0)
    samples.add("theirs", 4.0)
    assert (samples.of("ours"), samples.of("another's")) == ((2.0,), ())
    assert [each.name for each in samples.printed("the", "s", label="PSS ")] == ["PSS irs"]


@pytest.mark.parametrize(
    ("rounds", "kinds", "compared", "code"),
    [
        ((1, 1, 1), (), False, 0),
        ((3, 3, 3), (), False, 1),
        ((1, 1), (), False, 3),
        ((), (), False, 3),  # it could not be measured
        ((3, 3, 3), (Kind.SAME,), True, 0),
        ((1, 1, 1), (Kind.SAME, Kind.WORSE), True, 1),
        ((1, 1, 1), (Kind.NOT_JUDGED,), True, 3),
        ((1, 1, 1), (Kind.BETTER,), True, 0),
    ],
)
def test_exit_codes(rounds, kinds, compared, code):
    changes = tuple(Change("P1", "f", kind, 1.0, 1.0, 0.1) for kind in kinds)
    figures = (figure(*rounds),) if rounds else ()
    assert exit_code((Measure("P1", "t", figures),), changes, compared=compared) == code
