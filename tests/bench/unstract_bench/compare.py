"""A run against the committed one: what got worse by more than the rounds of both vary."""

from enum import StrEnum
from statistics import median

from attrs import frozen

from unstract_bench.document import Run
from unstract_bench.figures import Figure, Verdict, spread_of

# Rounds of one run vary less than runs on two days do.
LEAST_MARGIN = 0.1


class Kind(StrEnum):
    """How a figure changed."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    NOT_JUDGED = "not judged"


@frozen
class Change:
    """One figure then and now. `margin` is the relative change that is still noise."""

    measure: str
    figure: str
    kind: Kind
    before: float
    now: float
    margin: float

    def __str__(self) -> str:
        change = f"{self.before:.4g} -> {self.now:.4g} ({self.now / self.before - 1:+.1%}, noise {self.margin:.0%})"
        return f"{self.measure} {self.figure}: {self.kind}, {change}"


def compare(before: Run, now: Run) -> tuple[Change, ...]:
    """The figures with a bar that both runs have and this one measured.

    A ratio to the baseline of its own run carries over from one machine to another, so a figure that has a baseline is
    compared by its ratio, and not compared if it had none before.
    """
    old = {(measure.id, figure.name): figure for measure in before.measures for figure in measure.figures}
    pairs = [
        (measure.id, old.get((measure.id, each.name)), each) for measure in now.measures for each in measure.figures
    ]
    return tuple(
        _change(identifier, then, figure)
        for identifier, then, figure in pairs
        if then is not None and figure.bar is not None and figure.measured_on is None
        if then.values and figure.values and bool(then.ratios) == bool(figure.ratios)
    )


def _change(measure: str, old: Figure, new: Figure) -> Change:
    then, now = old.ratios or old.values, new.ratios or new.values
    margin = max(LEAST_MARGIN, spread_of(then), spread_of(now))
    before, after = median(then), median(now)
    larger, smaller = after > before * (1 + margin), after < before / (1 + margin)
    worse, better = (smaller, larger) if new.better == "higher" else (larger, smaller)
    kind = Kind.WORSE if worse else Kind.BETTER if better else Kind.SAME
    return Change(
        measure, new.name, Kind.NOT_JUDGED if new.verdict is Verdict.NOT_JUDGED else kind, before, after, margin
    )
