"""The calls that the double answered, and what can be seen from them. Times are seconds of the monotonic clock."""

import re
from collections import Counter
from collections.abc import Mapping

from attrs import frozen

FILES, CALLBACK = "file-processing", "callback"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{64}")


@frozen
class Call:
    """A call of a worker, which the first segment of its path names; `path` is below `internal/`, with the query."""

    worker: str
    method: str
    path: str
    body: str | None
    began: float
    ended: float

    @property
    def route(self) -> str:
        """Method and path, without ids and query."""
        return f"{self.method} {_HASH.sub('{hash}', _UUID.sub('{id}', self.path.partition('?')[0]))}"


@frozen
class Calls:
    """All calls since the double was reset, in the order of their answers."""

    calls: tuple[Call, ...]

    @property
    def routes(self) -> Mapping[tuple[str, str], int]:
        """How often each worker called what."""
        return Counter((call.worker, call.route) for call in self.calls)

    def span(self, worker: str) -> float:
        """Between the worker's first and last answer."""
        ends = [call.ended for call in self.calls if call.worker == worker]
        return max(ends) - min(ends)

    @property
    def phase(self) -> float:
        """The phase of the files: from the last call before file-processing's first one until the callback's first."""
        first = min(call.began for call in self.calls if call.worker == FILES)
        opened = max((call.ended for call in self.calls if call.ended <= first), default=first)
        return min(call.began for call in self.calls if call.worker == CALLBACK and call.began >= first) - opened

    def busy(self, until: float) -> float:
        """How long at least one call was being answered."""
        total, free = 0.0, 0.0
        for call in sorted(self.calls, key=lambda each: each.began):
            ended = min(call.ended, until)
            total += max(0.0, ended - max(free, call.began))
            free = max(free, ended)
        return total
