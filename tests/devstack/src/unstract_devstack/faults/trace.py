"""The trace of a run: what was done to the fleet and when, for the one who has to understand a failure."""

import time

from attrs import define, field, frozen


@frozen
class Done:
    """One thing that was done, at seconds since the epoch; `fault`: its kind, if it was one."""

    at: float
    text: str
    fault: str | None = None


@define
class Trace:
    """What was done, in order."""

    entries: list[Done] = field(factory=list)

    def fault(self, kind: str, text: str) -> None:
        """Notes a fault."""
        self.entries.append(Done(time.time(), text, kind))

    def note(self, text: str) -> None:
        """Notes something that is no fault."""
        self.entries.append(Done(time.time(), text))

    def faults(self) -> list[Done]:
        """The faults alone."""
        return [each for each in self.entries if each.fault]
