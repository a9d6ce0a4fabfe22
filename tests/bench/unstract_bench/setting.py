"""How a run is made: rounds, time, whether it is the short one."""

import time
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from unstract_bench.figures import Figure, Verdict

__all__ = ["Setting"]

MORE_ROUNDS = 2


@frozen
class Setting:
    """What all measures are told.

    Attributes:
        short: the part for CI: ratios only, no curves.
        rounds: of each comparison; two more are added once where these cannot be judged and there is time.
        ends: on the monotonic clock; no round is begun after it.
        say: shows progress.
    """

    directory: Path
    say: Callable[[str], None] = field(repr=False)
    short: bool = False
    rounds: int = 3
    ends: float = field(factory=lambda: time.monotonic() + 480)

    @property
    def time_left(self) -> bool:
        """Whether another round may begin."""
        return time.monotonic() < self.ends

    def repeat(self, once: Callable[[], None], figures: Callable[[], tuple[Figure, ...]]) -> None:
        """Make the rounds, and two more if a figure cannot be judged by these."""
        for _ in range(self.rounds):
            if self.time_left:
                once()
        if any(each.verdict is Verdict.NOT_JUDGED for each in figures()):
            for _ in range(MORE_ROUNDS):
                if self.time_left:
                    once()
