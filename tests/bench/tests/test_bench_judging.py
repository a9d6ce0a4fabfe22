"""How figures are judged: medians, spread, agreement of the rounds, exit codes. Nothing here measures anything."""

import pytest

from unstract_bench.cli import exit_code
from unstract_bench.compare import Change, Kind
from unstract_bench.figures import Bar, Figure, Measure, Verdict, spread_of, trimmed


def figure(*values: float, bar: float | None = 2.0, baselines: tuple[float, ...] = (), **more) -> Figure:
    held = None if bar is None else Bar(bar, more.pop("stretch", None), ratio=bool(baselines))
    return Figure("f", "s", values, baselines, "base", held, **more)


def test_the_median_decides_and_not_the_mean():
    assert figure(1.9, 1.95, 2.1, spread_limit=0.2).verdict is Verdict.MET
    assert figure(2.05, 2.1, 1.9, spread_limit=0.2).verdict is Verdict.NOT_MET


def test_a_bar_is_met_by_what_equals_it():
    assert figure(2.0, 2.0, 2.0).verdict is Verdict.MET


def test_rounds_that_disagree_and_vary_are_not_judged():
    assert figure(1.0, 1.9, 3.0).verdict is Verdict.NOT_JUDGED


def test_rounds_that_vary_on_one_side_of_the_bar_are_judged():
    assert figure(0.5, 1.0, 1.9).verdict is Verdict.MET
    assert figure(2.5, 4.0, 9.0).verdict is Verdict.NOT_MET


def test_rounds_that_disagree_by_little_are_judged_by_their_median():
    assert figure(1.98, 1.99, 2.01).verdict is Verdict.MET


def test_too_few_rounds_are_not_judged():
    assert figure(1.0, 1.0).verdict is Verdict.NOT_JUDGED
    assert figure().verdict is Verdict.NOT_JUDGED
    assert figure(1.0, least_rounds=1).verdict is Verdict.MET


def test_without_a_bar_there_is_no_verdict():
    assert figure(1.0, 2.0, 9.0, bar=None).verdict is None


def test_ratios_are_taken_round_by_round():
    slower_machine = figure(1.0, 10.0, 1.0, baselines=(2.0, 20.0, 2.0), bar=0.6)
    assert slower_machine.ratios == (0.5, 0.5, 0.5)
    assert slower_machine.spread == 0
    assert slower_machine.verdict is Verdict.MET


def test_a_ratio_is_held_against_the_bar_and_not_the_value():
    assert figure(5.0, 5.0, 5.0, baselines=(10.0, 10.0, 10.0), bar=0.4).verdict is Verdict.NOT_MET


def test_five_rounds_leave_out_the_lowest_and_the_highest():
    assert trimmed([5, 1, 9, 2, 3]) == (2, 3, 5)
    assert trimmed([4, 1, 9]) == (1, 4, 9)
    assert figure(1.0, 1.0, 1.1, 1.1, 40.0).verdict is Verdict.MET


def test_spread_is_the_width_over_the_median():
    assert spread_of([1.0, 2.0, 4.0]) == pytest.approx(1.5)
    assert spread_of([3.0]) == 0
    assert spread_of([]) == 0


def test_the_stretch_is_told_where_a_judgement_is_possible():
    assert figure(1.0, 1.0, 1.0, stretch=1.0).stretched is True
    assert figure(1.5, 1.5, 1.5, stretch=1.0).stretched is False
    assert figure(0.5, 1.0, 9.0, stretch=1.0).stretched is None
    assert figure(1.0, 1.0, 1.0).stretched is None


def test_a_measure_is_as_good_as_its_worst_figure():
    good, bad, unknown = figure(1, 1, 1), figure(3, 3, 3), figure(1, 1)
    assert Measure("P1", "t", (good, figure(9, 9, 9, bar=None))).verdict is Verdict.MET
    assert Measure("P1", "t", (good, unknown)).verdict is Verdict.NOT_JUDGED
    assert Measure("P1", "t", (good, unknown, bad)).verdict is Verdict.NOT_MET


def test_the_figure_that_uses_up_most_of_its_bar_leads():
    near, far, told = figure(1.9, 1.9, 1.9), figure(1, 1, 1), figure(99, 99, 99, bar=None)
    assert Measure("P1", "t", (told, far, near)).leading is near


def change(kind: Kind) -> Change:
    return Change("P1", "f", kind, 1.0, 1.0, 0.1)


@pytest.mark.parametrize(
    ("rounds", "kinds", "compared", "code"),
    [
        ((1, 1, 1), (), False, 0),
        ((3, 3, 3), (), False, 1),
        ((1, 1), (), False, 3),
        ((3, 3, 3), (Kind.SAME,), True, 0),
        ((1, 1, 1), (Kind.SAME, Kind.WORSE), True, 1),
        ((1, 1, 1), (Kind.NOT_JUDGED,), True, 3),
        ((1, 1, 1), (Kind.BETTER,), True, 0),
    ],
)
def test_exit_codes(rounds, kinds, compared, code):
    measures = (Measure("P1", "t", (figure(*rounds),)),)
    assert exit_code(measures, tuple(map(change, kinds)), compared=compared) == code


def test_a_measure_that_could_not_be_made_is_not_judged():
    failed = Measure("P1", "-", (), ("could not be measured: no Redis",))
    assert failed.verdict is Verdict.NOT_JUDGED
    assert failed.leading.values == ()
    assert exit_code((failed,), (), compared=False) == 3
