"""What the steps ask of traces, and what they get while there are none."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["NoTraces", "Traces"]


class Traces(Protocol):
    """The traces of one process. `execution_id` names the trace; attributes never hold file names or results."""

    def accepted(self, execution_id: str, what: str) -> None:
        """The execution was written down just now, for the first time: the root of its trace."""
        ...

    def span(self, execution_id: str, what: str, **attributes: str | int) -> AbstractContextManager[None]:
        """Around the work on one claim; its ids are on every log record and backend call inside."""
        ...

    def flush(self, seconds: float) -> None:
        """Send what ended, within the time."""
        ...


class NoTraces:
    """Neither configured nor installed: costs next to nothing."""

    def accepted(self, execution_id: str, what: str) -> None:
        """Nothing."""

    def span(self, execution_id: str, what: str, **attributes: str | int) -> AbstractContextManager[None]:
        """Nothing around."""
        return nullcontext()

    def flush(self, seconds: float) -> None:
        """Nothing to send."""
