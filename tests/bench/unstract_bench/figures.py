"""What was measured and how it is judged. Pure: nothing here measures.

A figure has one value a round and, where it is compared, the baseline's value of the same round. What is held against
the bar is the value itself or the ratio of the two, by the median of the rounds.
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import median

from attrs import field, frozen

__all__ = ["Bar", "Figure", "Measure", "Verdict", "spread_of", "trimmed"]

TRIMMED_FROM = 5


class Verdict(StrEnum):
    """What the rounds allow to say."""

    MET = "met"
    NOT_MET = "not met"
    NOT_JUDGED = "not judged"


@frozen
class Bar:
    """What a figure is held against; lower is better. `ratio`: the ratio to the baseline is, not the value."""

    bar: float
    stretch: float | None = None
    ratio: bool = False


@frozen
class Figure:
    """One figure over all rounds. Without a bar it is only told. `spread_limit`: beyond it rounds must agree."""

    name: str
    unit: str
    values: tuple[float, ...]
    baselines: tuple[float, ...] = ()
    baseline_name: str = ""
    held: Bar | None = None
    spread_limit: float = 0.15
    least_rounds: int = 3

    @property
    def ratios(self) -> tuple[float, ...]:
        """Value over baseline, round by round."""
        return tuple(value / base for value, base in zip(self.values, self.baselines, strict=False) if base)

    @property
    def judged(self) -> tuple[float, ...]:
        """What is held against the bar, round by round."""
        return self.ratios if self.held is not None and self.held.ratio else self.values

    @property
    def spread(self) -> float:
        """Width of what is judged, over its median."""
        return spread_of(self.judged)

    @property
    def verdict(self) -> Verdict | None:
        """None without a bar. Not judged: too few rounds, or so wide a spread that the rounds disagree."""
        if self.held is None:
            return None
        if len(self.judged) < self.least_rounds:
            return Verdict.NOT_JUDGED
        middle, kept = median(self.judged), trimmed(self.judged)
        met = [each <= self.held.bar for each in kept]
        if self.spread > self.spread_limit and any(met) != all(met):
            return Verdict.NOT_JUDGED
        return Verdict.MET if middle <= self.held.bar else Verdict.NOT_MET

    @property
    def stretched(self) -> bool | None:
        """Whether the stretch is reached; None without one or where nothing can be judged."""
        if self.held is None or self.held.stretch is None or self.verdict is Verdict.NOT_JUDGED:
            return None
        return median(self.judged) <= self.held.stretch

    @property
    def load(self) -> float:
        """How much of the bar is used up: above 1 it is missed."""
        return median(self.judged) / self.held.bar if self.held is not None and self.judged else 0.0


_NOTHING = Figure("nothing measured", "", ())


@frozen
class Measure:
    """One of P1 to P8: its figures, and lines for whoever reads them (ceilings, what was scaled down)."""

    id: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = field(factory=tuple)

    @property
    def leading(self) -> Figure:
        """The figure that stands for the measure: of those with a bar the one that uses up most of it."""
        return max(self.figures or (_NOTHING,), key=lambda each: (each.held is not None, each.load))

    @property
    def verdict(self) -> Verdict:
        """Not met if one figure is not, then not judged if one is not (or there is none), else met."""
        if not self.figures:
            return Verdict.NOT_JUDGED
        told = {each.verdict for each in self.figures}
        for worst in (Verdict.NOT_MET, Verdict.NOT_JUDGED):
            if worst in told:
                return worst
        return Verdict.MET


def trimmed(values: Sequence[float]) -> tuple[float, ...]:
    """The values without the lowest and the highest, from five rounds on: one disturbed round decides nothing."""
    ordered = sorted(values)
    return tuple(ordered[1:-1] if len(ordered) >= TRIMMED_FROM else ordered)


def spread_of(values: Sequence[float]) -> float:
    """(largest - least) / median of the trimmed values; 0 for fewer than two."""
    kept = trimmed(values)
    middle = median(kept) if kept else 0.0
    return (kept[-1] - kept[0]) / middle if middle else 0.0
