"""A run against the committed one: fails on what got worse beyond what the rounds of both vary by."""

from enum import StrEnum
from statistics import median

from attrs import frozen

from unstract_bench.document import Run
from unstract_bench.figures import Figure, Verdict, spread_of

__all__ = ["LEAST_MARGIN", "Change", "Kind", "compare"]

# Rounds of one run vary less than runs on two days do.
LEAST_MARGIN = 0.1


class Kind(StrEnum):
    """What became of a figure."""

    SAME = "same"
    BETTER = "better"
    WORSE = "worse"
    NOT_JUDGED = "not judged"


@frozen
class Change:
    """One figure then and now: as ratios to the baseline of its own run where there is one, since only those carry
    over from one machine to another; `margin` is the relative change that is still noise."""

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
    """The figures with a bar that both runs have."""
    known = {(measure.id, figure.name): figure for measure in before.measures for figure in measure.figures}
    changes = []
    for measure in now.measures:
        for figure in measure.figures:
            old = known.get((measure.id, figure.name))
            if old is not None and figure.held is not None and figure.values and old.values:
                changes.append(_change(measure.id, old, figure))
    return tuple(changes)


def _change(measure: str, old: Figure, new: Figure) -> Change:
    then, now = _portable(old), _portable(new)
    margin = max(LEAST_MARGIN, spread_of(then), spread_of(now))
    before, after = median(then), median(now)
    kind = Kind.SAME
    if new.verdict is Verdict.NOT_JUDGED:
        kind = Kind.NOT_JUDGED
    elif after > before * (1 + margin):
        kind = Kind.WORSE
    elif after < before / (1 + margin):
        kind = Kind.BETTER
    return Change(measure, new.name, kind, before, after, margin)


def _portable(figure: Figure) -> tuple[float, ...]:
    return figure.ratios or figure.values
