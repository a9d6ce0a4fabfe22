"""How long a file of a workflow takes, as this process saw it last: what will begin within the next second."""

import threading
from collections import OrderedDict

from attrs import define, field

__all__ = ["Paces"]

_MOST = 256
_WEIGHT = 0.3


@define(eq=False)
class Paces:
    """Seconds a file by workflow, of the workflows that ran last; the newest files count most. Safe for threads."""

    _seconds: OrderedDict[str, float] = field(factory=OrderedDict, init=False)
    _guard: threading.Lock = field(factory=threading.Lock, init=False)

    def took(self, workflow_id: str, seconds: float) -> None:
        """A file of the workflow took so long."""
        with self._guard:
            before = self._seconds.pop(workflow_id, seconds)
            self._seconds[workflow_id] = before + _WEIGHT * (seconds - before)
            if len(self._seconds) > _MOST:
                self._seconds.popitem(last=False)

    def of(self, workflow_id: str) -> float | None:
        """What a file takes, in seconds; None where none of the workflow has ended here."""
        return self._seconds.get(workflow_id)
