"""What an error means for the run that met it: hand it back, and how, or end it with a reason. Pure functions."""

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
from unstract_worker_core.orchestration.turn import HandOver

__all__ = ["Waits", "definite", "hand_over", "in_a_line"]

_LONGEST_WAIT = 300.0
_LONGEST_REASON = 256


@frozen
class Waits:
    """Seconds until a run is looked at again, by why it was handed back.

    `unknown` is longer than a request may still be under way in the backend, so that its effect is there to be seen.
    """

    unavailable: float = 10.0
    unknown: float = 30.0
    failed: float = 5.0


def definite(error: Exception) -> bool:
    """Whether the same step would meet the same error again: the run ends with this reason."""
    return isinstance(error, BackendRefused | UnexpectedAnswer | MessageError)


def hand_over(error: Exception, *, attempts: int, waits: Waits) -> HandOver:
    """How to hand a run back after an error that may pass.

    An unreachable backend charges nothing, however long it is away. A backend that answers 500 again and again is
    not unreachable: it is charged, and so is a defect of ours.
    """
    reason = in_a_line(error)
    if isinstance(error, SteppedAside):
        return HandOver(reason, error.delay_seconds)
    grown = min(waits.failed * 2**attempts, _LONGEST_WAIT)
    if isinstance(error, OutcomeUnknown):
        return HandOver(reason, max(waits.unknown, grown), charge=error.status == 500)
    if isinstance(error, BackendUnavailable):
        charge = error.status == 500
        return HandOver(reason, grown if charge else waits.unavailable, charge=charge)
    return HandOver(reason, grown, charge=True)


def in_a_line(error: Exception) -> str:
    """The reason in one printable line of at most 256 characters. Of an error that is not ours: its type only."""
    ours = isinstance(error, BackendError | LedgerError | MessageError | SteppedAside)
    text = str(error) if ours else f"unexpected {type(error).__name__}"
    flat = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return flat if len(flat) <= _LONGEST_REASON else flat[: _LONGEST_REASON - 3] + "..."
