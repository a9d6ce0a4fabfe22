"""Celery's request, which blames a message for what cannot be read, and keeps one that expired as a dead letter.

By Celery alone, a bad time limit or date raises somewhere behind the reading, where it looks like an error of ours, and
an expired task is acknowledged and forgotten: its execution would stay PENDING for ever.
"""

from datetime import datetime
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.request import Request

from unstract_worker_core.worker.dead_letters import dead_letter_message

__all__ = ["TaskRequest"]

# What reading a message can raise.
_MESSAGE_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class TaskRequest(Request):  # type: ignore[misc]
    """Set as `Request` of each task."""

    def __init__(self, message: Any, **options: Any) -> None:
        try:
            super().__init__(message, **options)
            self._read_times()
        except _MESSAGE_ERRORS as error:
            raise InvalidTaskError(type(error).__name__) from error

    def maybe_expire(self) -> bool:
        """Whether it expired; it is a dead letter then. Raises LedgerError where that cannot be kept.

        Unlike Celery's, this does not remember the id: sent again by an operator, the task is to be run.
        """
        if self.expires is None or datetime.now(self.expires.tzinfo) <= self.expires:
            return False
        runtime = self.app.worker_process.runtime()
        dead_letter_message(runtime, self.message, f"it expired at {self.expires.isoformat()}, before it was processed")
        runtime.metrics.task(self.type, str(self.delivery_info.get("routing_key") or "")).ended("rejected", 0.0, "")
        return True

    def _read_times(self) -> None:
        """Read what Celery reads only later, and would then not tell from an error of its own."""
        limits = self.time_limits
        if len(limits) != 2 or not all(limit is None or isinstance(limit, int | float) for limit in limits):
            raise ValueError("time limits")
        for moment in (self.eta, self.expires):
            if moment is not None:
                moment.astimezone()
