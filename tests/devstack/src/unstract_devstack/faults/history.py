"""What was done to the fleet, and what the backend says happened: its effects, executions and requests."""

import time
from collections import defaultdict

from attrs import define, field, frozen

from unstract_devstack.platform_client import DevApi, Effect, ExecutionRow, FileRow, Request


@define
class History:
    """Reads one backend's history; effects are fetched once and kept."""

    dev: DevApi
    _effects: dict[str, list[Effect]] = field(factory=lambda: defaultdict(list), init=False)
    _last: int = field(default=0, init=False)

    def refresh(self) -> None:
        """Fetches the effects that were applied since the last time."""
        for effect in self.dev.effects(after=self._last):
            self._last = effect.id
            self._effects[effect.execution_id or ""].append(effect)

    def of(self, execution_id: str) -> tuple[Effect, ...]:
        """The effects of one execution, as fetched last."""
        return tuple(self._effects.get(execution_id, ()))

    def executions(self, organization: str) -> dict[str, ExecutionRow]:
        """The executions of an organization, by id."""
        return {row.id: row for row in self.dev.executions(files=False, organization_id=organization)}

    def files(self, execution_id: str) -> dict[str, FileRow]:
        """The files' rows of an execution, by name."""
        (row,) = self.dev.executions(execution_id=execution_id)
        return {file.name: file for file in row.files}

    def requests(self, *, since: float) -> tuple[Request, ...]:
        """The requests since a time, oldest first."""
        return self.dev.requests(since=since)


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
