"""A run against the committed one: what got worse by more than the rounds of both vary."""

from collections.abc import Iterator
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


def compare(before: Run, now: Run) -> Iterator[Change]:
    """The figures with a bar that both runs have and this one measured.

    A ratio to the baseline of its own run carries over from one machine to another, so a figure that has a baseline is
    compared by its ratio, and not compared if it had none before.
    """
    for measure in now.measures:
        for new in measure.figures:
            old = before.figures_of(measure.id).get(new.name)
            if new.bar is None or new.measured_on or not new.values or not old or not old.values:
                continue
            if bool(old.ratios) == bool(new.ratios):
                yield _change(measure.id, old, new)


def _change(measure: str, old: Figure, new: Figure) -> Change:
    then, now = old.ratios or old.values, new.ratios or new.values
    margin = max(LEAST_MARGIN, spread_of(then), spread_of(now))
    before, after = median(then), median(now)
    kind = Kind.SAME
    if new.verdict is Verdict.NOT_JUDGED:
        kind = Kind.NOT_JUDGED
    elif max(before, after) > min(before, after) * (1 + margin):
        kind = Kind.WORSE if (after > before) == (new.better == "lower") else Kind.BETTER
    return Change(measure, new.name, kind, before, after, margin)
