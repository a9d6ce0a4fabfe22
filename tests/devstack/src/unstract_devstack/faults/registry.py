"""The experiments by id: what each one is, in which of the backend's modes it runs, how it is scaled down."""

import time
from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from unstract_devstack.faults.arena import T_MAX, Arena
from unstract_devstack.faults.checker import Sent
from unstract_devstack.faults.tally import Judged, Problem

KEYED, AS_REAL = "keyed", "as-real"
BOTH = (KEYED, AS_REAL)


@define
class Trial:
    """One experiment under way.

    Attributes:
        deadline: when it must be over, on the monotonic clock.
        cut: it was not over by then, so that its outcome is unknown.
        full: at the size of the reliability page, else scaled down.
        kills, executions: the size of the random run.
    """

    arena: Arena
    seed: int
    deadline: float
    full: bool = False
    kills: int = 0
    executions: int = 0
    cut: bool = False
    judged: Judged = field(factory=Judged)
    sent: list[Sent] = field(factory=list)

    def sized(self, small: int, full: int) -> int:
        """How much to do."""
        return full if self.full else small

    def settle(self, *sent: Sent, seconds: float | None = None) -> Judged:
        """Waits for these executions and takes their verdict into this trial's."""
        left, wanted = max(5.0, self.deadline - time.monotonic()), T_MAX if seconds is None else seconds
        taken = self.arena.settled(sent, seconds=min(wanted, left))
        self.cut |= bool(taken.tally.pending) and left < wanted
        self.sent.extend(sent)
        self.judged.take(taken)
        return taken

    def check(self, holds: bool, text: str, execution_id: str | None = None) -> None:
        """Notes a problem unless something holds."""
        if not holds:
            self.judged.problems.append(Problem(text, execution_id))

    def check_once(self, judged: Judged) -> None:
        """Notes a problem if an effect was repeated, also where an ignored key allows it."""
        repeated = judged.tally.effects_doubled_unkeyed + judged.tally.notifications_doubled
        self.check(repeated == 0, f"{repeated} effects were repeated")


@frozen
class Ground:
    """What a fleet of one's own is for: variables of its workers, relays in between, being `alone`."""

    settings: Mapping[str, str] = field(factory=dict)
    relayed: bool = False
    alone: bool = False

    @property
    def shared(self) -> bool:
        """Whether it is the usual one."""
        return not (self.settings or self.relayed or self.alone)


@frozen
class Experiment:
    """One experiment. It passes if its trial notes no problem, doubles that an ignored key explains apart.

    `ground` is what it needs and does not share with the others; such a one runs on a fleet of its own.
    """

    id: str
    run: Callable[[Trial], None]
    modes: tuple[str, ...]
    scaled: bool
    quick: bool
    ground: Ground = field(factory=Ground)

    @property
    def title(self) -> str:
        """What it shows, from the first line of its description."""
        return (self.run.__doc__ or self.id).splitlines()[0]


EXPERIMENTS: dict[str, Experiment] = {}


def experiment(
    identifier: str,
    *,
    modes: tuple[str, ...] = (KEYED,),
    scaled: bool = False,
    quick: bool = False,
    settings: Mapping[str, str] | None = None,
    relayed: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Registers a function as the experiment with this id.

    Args:
        identifier: as on the reliability page.
        modes: the backend's modes in which it runs.
        scaled: it is smaller than on that page unless asked for in full.
        quick: it is part of the quick selection.
        settings: variables of the workers that it needs for itself.
        relayed: it needs relays between the workers and what they talk to.
        alone: it treats its fleet in a way that the others would not bear.
    """

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        EXPERIMENTS[identifier] = Experiment(
            identifier, run, modes, scaled, quick, Ground(settings or {}, relayed, alone)
        )
        return run

    return register
