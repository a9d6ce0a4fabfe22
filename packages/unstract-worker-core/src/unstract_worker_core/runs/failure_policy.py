"""What an error means for the run that met it: hand it back, and how, end it with a reason, or go on without."""

from collections.abc import Callable
from typing import TypeVar

from attrs import frozen

from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    LedgerError,
    MessageError,
    OutcomeUnknown,
    SteppedAside,
    UnexpectedAnswer,
)
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.session import Release

__all__ = ["RetryDelays", "get_optional", "hand_over", "is_permanent", "reason_of", "unreachable"]

T = TypeVar("T")
_LONGEST_WAIT = 300.0
_LONGEST_REASON = 256

log = get_logger(__name__)


@frozen
class RetryDelays:
    """Seconds until a run is looked at again, by why it was handed back.

    `unknown` is longer than a request may still be under way in the backend, so that its effect is there to be seen.
    """

    unavailable: float = 10.0
    unknown: float = 30.0
    failed: float = 5.0


def is_permanent(error: Exception) -> bool:
    """Whether the same step would meet the same error again: the run ends with this reason."""
    return isinstance(error, BackendRefused | UnexpectedAnswer | MessageError)


def unreachable(error: Exception) -> bool:
    """Whether the backend could not be asked. One that answers 500 again and again could."""
    return isinstance(error, BackendUnavailable | OutcomeUnknown) and error.status != 500


def get_optional(ask: Callable[[], T], otherwise: T, *, what: str) -> T:
    """Ask the backend for what a run can do without. Raises only while it cannot be asked."""
    try:
        return ask()
    except BackendError as error:
        if unreachable(error):
            raise
        log.warning("going on without an answer", what=what, reason=reason_of(error))
        return otherwise


def hand_over(error: Exception, *, attempts: int, waits: RetryDelays) -> Release:
    """How to hand a run back after an error that may pass.

    An unreachable backend charges nothing, however long it is away. A backend that answers 500 again and again is
    not unreachable: it is charged, and so is a defect of ours.
    """
    reason = reason_of(error)
    if isinstance(error, SteppedAside):
        return Release(reason, error.delay_seconds)
    grown = min(waits.failed * 2**attempts, _LONGEST_WAIT)
    charge = not unreachable(error)
    if isinstance(error, OutcomeUnknown):
        return Release(reason, max(waits.unknown, grown), charge=charge)
    return Release(reason, grown if charge else waits.unavailable, charge=charge)


def reason_of(error: Exception) -> str:
    """The reason in one printable line of at most 256 characters. Of an error that is not ours: its type only."""
    ours = isinstance(error, BackendError | LedgerError | MessageError | SteppedAside)
    text = str(error) if ours else f"unexpected {type(error).__name__}"
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= _LONGEST_REASON else flat[: _LONGEST_REASON - 3] + "..."
