"""Experiments and their trials: each is a function of a trial, registered under its id."""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Mapping

from attrs import define, field, frozen

from unstract_devstack.faults.arena import T_MAX, Arena
from unstract_devstack.faults.checker import AS_REAL, KEYED, Judged, Problem, Sent
from unstract_devstack.faults.load import Feeder, Tenant, new_tenant

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
    id: str = ""
    cut: bool = False
    judged: Judged = field(factory=Judged)
    sent: list[Sent] = field(factory=list)

    @property
    def mode(self) -> str:
        return KEYED if self.arena.keyed else AS_REAL

    @property
    def chance(self) -> random.Random:
        """A new source of chance, which the seed and the experiment give."""
        return random.Random(f"{self.id} {self.seed}")

    def sized(self, small: int, full: int) -> int:
        return full if self.full else small

    def settle(self, *sent: Sent, seconds: float | None = None) -> Judged:
        """Waits for these executions and takes their verdict into this trial's."""
        left, wanted = max(5.0, self.deadline - time.monotonic()), T_MAX if seconds is None else seconds
        taken = self.arena.settled(sent, seconds=min(wanted, left))
        self.cut |= bool(taken.tally.pending) and left < wanted
        self.sent.extend(sent)
        self.judged.take(taken)
        return taken

    @contextlib.contextmanager
    def load(
        self,
        executions: int,
        seconds: float,
        *,
        tenant: Tenant | None = None,
        most_files: int = 8,
        settle_seconds: float | None = None,
    ) -> Iterator[Feeder]:
        """Executions of random sizes are sent over so many seconds; at the end of the block they are waited for."""
        feeder = Feeder(tenant or new_tenant(self.arena), self.seed, executions, seconds, most_files)
        feeder.start()
        yield feeder
        feeder.join()
        self.settle(*feeder.sent, seconds=settle_seconds)

    def check(self, holds: bool, text: str, sent: Sent | None = None) -> None:
        """Notes a problem unless something holds."""
        if not holds:
            self.judged.problems.append(Problem(text, sent.execution_id if sent else None))

    def check_once(self) -> None:
        """Notes a problem if an effect was repeated, also where an ignored key allows it."""
        repeated = self.judged.tally.effects_doubled_unkeyed + self.judged.tally.notifications_doubled
        self.check(repeated == 0, f"{repeated} effects were repeated")


@frozen
class Ground:
    """What a fleet of one's own is for: variables of its workers, relays in between, being `alone`."""

    settings: Mapping[str, str] = field(factory=dict)
    relayed: bool = False
    alone: bool = False


@frozen
class Experiment:
    """One experiment. It passes if its trial notes no problem, doubles that an ignored key explains apart.

    Attributes:
        id: as on the reliability page.
        run: does it; the first line of its description says what it shows.
        modes: the backend's modes in which it runs.
        scaled: it is smaller than on that page unless asked for in full.
        quick: it is part of the quick selection.
        ground: what it needs and does not share with the others; such a one runs on a fleet of its own.
    """

    id: str
    run: Callable[[Trial], None]
    modes: tuple[str, ...]
    scaled: bool
    quick: bool
    ground: Ground

    @property
    def title(self) -> str:
        return (self.run.__doc__ or self.id).splitlines()[0]


EXPERIMENTS: dict[str, Experiment] = {}


def experiment(
    *ids: str,
    modes: tuple[str, ...] = (KEYED,),
    scaled: bool = False,
    quick: bool = False,
    ground: Ground = Ground(),
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Registers a function as the experiment with these ids."""

    def register(run: Callable[[Trial], None]) -> Callable[[Trial], None]:
        EXPERIMENTS.update({each: Experiment(each, run, modes, scaled, quick, ground) for each in ids})
        return run

    return register
