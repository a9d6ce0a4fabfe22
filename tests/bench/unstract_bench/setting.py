"""How a run is made: rounds, time, whether it is the short one."""

import time
from collections.abc import Callable
from pathlib import Path

from attrs import field, frozen

from unstract_bench.figures import Figure, Verdict

__all__ = ["Setting"]

MORE_ROUNDS = 2
LATEST_ROUND = 9 / 8


@frozen
class Setting:
    """What all measures are told.

    Attributes:
        short: the part for CI: ratios only, no curves.
        rounds: of each comparison; two more are added once where these cannot be judged and there is time.
        seconds: from `began`; no curve and no further round is begun after them. The rounds themselves may begin an
            eighth later, so that a slow machine's last measure is judged too.
        say: shows progress.
    """

    directory: Path
    say: Callable[[str], None] = field(repr=False)
    short: bool = False
    rounds: int = 3
    seconds: float = 380.0
    began: float = field(factory=time.monotonic)

    @property
    def time_left(self) -> bool:
        """Whether what no verdict waits for may begin."""
        return time.monotonic() < self.began + self.seconds

    def repeat(self, once: Callable[[], None], figures: Callable[[], tuple[Figure, ...]]) -> None:
        """Make the rounds, and two more if a figure cannot be judged by these."""
        for _ in range(self.rounds):
            if time.monotonic() < self.began + self.seconds * LATEST_ROUND:
                once()
        if any(each.verdict is Verdict.NOT_JUDGED for each in figures()):
            for _ in range(MORE_ROUNDS):
                if self.time_left:
                    once()
