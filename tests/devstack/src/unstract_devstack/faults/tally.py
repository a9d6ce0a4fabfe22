"""What a run is judged by: how much was sent, and how much of it was lost or happened twice."""

from typing import Any

from attrs import asdict, define, field, fields, frozen


@frozen
class Problem:
    """One thing that is wrong, in a sentence; with the execution that it is about, if it is about one."""

    text: str
    execution_id: str | None = None


@define
class Tally:
    """Counts over executions. Sums are counts over both.

    `effects_doubled` counts with a backend that applies an idempotency key once, `effects_doubled_unkeyed` with one
    that ignores keys. `callbacks` are terminal writes.
    """

    executions: int = 0
    terminal: int = 0
    files: int = 0
    effects_lost: int = 0
    effects_doubled: int = 0
    effects_doubled_unkeyed: int = 0
    callbacks_lost: int = 0
    callbacks_doubled: int = 0
    notifications_lost: int = 0
    notifications_doubled: int = 0
    status_regressions: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        names = [each.name for each in fields(Tally)]
        return Tally(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def pending(self) -> int:
        """What may still come: executions that have not ended, events that have not arrived."""
        return self.executions - self.terminal + self.notifications_lost

    def as_json(self) -> dict[str, Any]:
        """Name and count of each."""
        return asdict(self)


@define
class Judged:
    """A tally with the problems that make it up, and what is measured but is no problem."""

    tally: Tally = field(factory=Tally)
    problems: list[Problem] = field(factory=list)
    measured: list[Problem] = field(factory=list)

    def add(self, counter: str, number: int, text: str, execution_id: str, *, allowed: bool = False) -> None:
        """Counts `number` more of something wrong, if any; `allowed`: an ignored key explains it."""
        if number <= 0:
            return
        setattr(self.tally, counter, getattr(self.tally, counter) + number)
        found = self.measured if allowed else self.problems
        found.append(Problem(f"{counter} +{number}: {text}", execution_id))

    def take(self, other: "Judged") -> None:
        """Adds another verdict to this one."""
        self.tally += other.tally
        self.problems.extend(other.problems)
        self.measured.extend(other.measured)
