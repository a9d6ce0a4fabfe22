"""How a run is made: how many rounds, until when, whether it is the short one."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import field, frozen

from unstract_bench.document import Curve, Run
from unstract_bench.figures import Figure, Measure, Samples, Verdict

MORE_ROUNDS = 2
LATEST_ROUND = 9 / 8
# What a trial gives.
Made = tuple[tuple[Measure, ...], Mapping[str, Curve]]


@frozen
class Setting:
    """The settings of all measures.

    Attributes:
        python: the interpreter that everything is measured on.
        report: shows progress.
        short: the part for CI: fewer repetitions within a round, no prefork.
        curves: measure what only the plots show, too.
        growth: let the execution of P11 have 100,000 files.
        committed: where P11's figures come from if this run has no time for it.
        rounds: of each comparison; two more are added once where these cannot be judged and there is time.
        seconds: from `began`; no curve and no further round is begun after them. The rounds themselves may begin an
            eighth later, so that the last measure of a slow machine is judged too.
    """

    directory: Path
    python: Path
    report: Callable[[str], None] = field(repr=False)
    short: bool = False
    curves: bool = False
    growth: bool = False
    committed: Run | None = field(default=None, repr=False)
    rounds: int = 3
    seconds: float = 540.0
    began: float = field(factory=time.monotonic)

    @property
    def time_left(self) -> bool:
        """Whether a step that no verdict needs may begin."""
        return time.monotonic() < self.began + self.seconds

    def allows(self, seconds: float) -> bool:
        """Whether a step of this duration may begin."""
        return not self.short and time.monotonic() + seconds < self.began + self.seconds * LATEST_ROUND

    def repeat(
        self, what: str, once: Callable[[Samples], None], figures: Callable[[Samples], tuple[Figure, ...]]
    ) -> Samples:
        """Make the rounds, and two more if a figure cannot be judged by these. `what` is reported for each."""
        samples = Samples()

        def one_round() -> None:
            self.report(what)
            once(samples)

        for _ in range(self.rounds):
            if time.monotonic() < self.began + self.seconds * LATEST_ROUND:
                one_round()
        if any(each.verdict is Verdict.NOT_JUDGED for each in figures(samples)):
            for _ in range(MORE_ROUNDS):
                if self.time_left:
                    one_round()
        return samples
