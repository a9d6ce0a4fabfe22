"""Figures and how they are judged.

A figure has one value a round and, where it is compared, the baseline's value of the same round. The median of the
rounds is judged: of value over baseline, or of the value where there is no baseline.
"""

from collections.abc import Sequence
from enum import StrEnum
from statistics import median

from attrs import define, field, frozen

TRIMMED_FROM = 5


class Verdict(StrEnum):
    """The judgement of a figure or measure."""

    MET = "met"
    NOT_MET = "not met"
    NOT_JUDGED = "not judged"


@frozen
class Figure:
    """One figure over all rounds.

    Attributes:
        bar: None: it is printed and not judged.
        better: "lower" or "higher": on which side of the bar and the stretch it should be.
        spread_limit: a wider spread, with rounds on both sides of the bar, allows no judgement.
        measured_on: the run that the values were taken from, if it is not this one.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    baselines: tuple[float, ...] = ()
    baseline_name: str | None = None
    bar: float | None = None
    stretch: float | None = None
    better: str = "lower"
    spread_limit: float = 0.15
    least_rounds: int = 3
    measured_on: str | None = None

    @property
    def ratios(self) -> tuple[float, ...]:
        """Value over baseline, round by round."""
        return tuple(value / base for value, base in zip(self.values, self.baselines, strict=False) if base)

    @property
    def judged(self) -> tuple[float, ...]:
        """The values that are compared with the bar, round by round."""
        return self.ratios if self.baseline_name else self.values

    @property
    def spread(self) -> float:
        """Width of the judged values over their median."""
        return spread_of(self.judged)

    @property
    def verdict(self) -> Verdict | None:
        """None without a bar. Not judged: too few rounds, or rounds that vary and fall on both sides of the bar."""
        if self.bar is None:
            return None
        if len(self.judged) < self.least_rounds:
            return Verdict.NOT_JUDGED
        met = {self._reaches(self.bar, each) for each in trimmed(self.judged)}
        if self.spread > self.spread_limit and len(met) > 1:
            return Verdict.NOT_JUDGED
        return Verdict.MET if self._reaches(self.bar, median(self.judged)) else Verdict.NOT_MET

    @property
    def stretch_met(self) -> bool | None:
        """Whether the stretch is reached; None without one, or where nothing can be judged."""
        if self.stretch is None or self.verdict in (None, Verdict.NOT_JUDGED):
            return None
        return self._reaches(self.stretch, median(self.judged))

    @property
    def used(self) -> float:
        """The used share of the bar: above 1 it is missed."""
        if not self.bar or not self.judged:
            return 0.0
        share = median(self.judged) / self.bar
        return 1 / share if self.better == "higher" and share else share

    def _reaches(self, limit: float, value: float) -> bool:
        return value >= limit if self.better == "higher" else value <= limit


@frozen
class Measure:
    """One of P1 to P12: its figures, and notes for the reader."""

    id: str
    title: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    @property
    def leading(self) -> Figure:
        """The figure that represents the measure: the one that uses up most of its bar."""
        figures = self.figures or (Figure("nothing measured", "", ()),)
        return max(figures, key=lambda each: (each.bar is not None, each.used))

    @property
    def verdict(self) -> Verdict:
        """The worst of its figures' verdicts; not judged without one."""
        verdicts = {each.verdict for each in self.figures}
        worst_first = (Verdict.NOT_MET, Verdict.NOT_JUDGED, Verdict.MET)
        return next((each for each in worst_first if each in verdicts), Verdict.NOT_JUDGED)


@define
class Samples:
    """Values by name, one a round, collected while the rounds are made."""

    values: dict[str, list[float]] = field(factory=dict)

    def add(self, name: str, value: float) -> None:
        """Add a round's value."""
        self.values.setdefault(name, []).append(value)

    def of(self, name: str) -> tuple[float, ...]:
        """The values in order of the rounds; empty for a name that was not measured."""
        return tuple(self.values.get(name, ()))

    def printed(self, prefix: str, unit: str, *, label: str = "") -> tuple[Figure, ...]:
        """A figure without a bar for each name that begins with `prefix`."""
        names = [name for name in self.values if name.startswith(prefix)]
        return tuple(Figure(label + name.removeprefix(prefix), unit, self.of(name)) for name in names)


def trimmed(values: Sequence[float]) -> tuple[float, ...]:
    """The values without the lowest and the highest, from five rounds on: one disturbed round decides nothing."""
    ordered = sorted(values)
    return tuple(ordered[1:-1] if len(ordered) >= TRIMMED_FROM else ordered)


def spread_of(values: Sequence[float]) -> float:
    """(largest - least) / median of the trimmed values; 0 for fewer than two."""
    kept = trimmed(values)
    middle = median(kept) if kept else 0.0
    return (kept[-1] - kept[0]) / middle if middle else 0.0
