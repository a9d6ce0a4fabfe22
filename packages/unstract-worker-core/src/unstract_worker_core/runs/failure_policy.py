"""What an error means for the work that met it: one policy for starting a run, for its files, and for finalising it.

The client has already repeated a call that may succeed later, within its time budget. Then:

===============  ========  ========  ========  =========  ========
error            start     file      finalise  follow-up  optional
===============  ========  ========  ========  =========  ========
stepped aside    put off   put off   put off   put off    put off
backend away     put off   put off   put off   put off    put off
key refused      put off   put off   put off   put off    put off
unknown outcome  put off   charge    put off   put off    put off
unclear error    charge    charge    charge    charge     go on
server error     charge    put off   charge    charge     go on
not found        end       end       end       go on      go on
refused          end       end       charge    go on      go on
bad answer       end       end       charge    go on      go on
bad message      end       end       charge    go on      go on
ledger away      put off   leave     put off   put off    put off
lease lost       leave     leave     leave     leave      leave
ledger error     charge    leave     charge    charge     charge
defect           charge    end       charge    charge     charge
===============  ========  ========  ========  =========  ========

Follow-up is what comes after the terminal status: the pipeline's status and notifications (clean-up is tried once, and
its errors are only logged). Optional is a call that its step can do without.

- put off: the work goes back to the ledger, is due again after a delay, and nothing is counted.
- charge: as put off, with a delay that doubles, and it counts as a failed attempt: of the run at its start and its
  end (five, then ERROR with the last reason), of the file (three, alone in its process for the later ones).
- end: the run or the file ends in ERROR with this reason. An execution that is not found ends as a dead letter.
- go on: the work continues without the answer; it is logged.
- leave: nothing can or may be written; the lease lapses and another owner continues.

A key that the backend refuses (401, 403) is no fault of a document: nothing ends for it and nothing is charged, however
long it lasts. Every attempt logs it, `unstract_worker_backend_key_refused` is 1, and `runs` shows it. A server
error (500 to a call without an effect) that remained after all repetitions may concern this run alone, so it is
charged; a file waits for it within its batch's deadline. An unclear error is a 500 to a call that may have had its
effect. An unknown outcome is put off for longer than a request can be under way and then looked up; only a file is
charged, since it may have been executed.
"""

import random
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeVar

from attrs import frozen

from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    LeaseLost,
    LedgerError,
    LedgerUnavailable,
    MessageError,
    NotFound,
    OutcomeUnknown,
    SteppedAside,
    WorkerError,
)
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.session import Release
from unstract_worker_core.serialization import one_line

T = TypeVar("T")
_KEY_REFUSED = (401, 403)
_SERVER_ERROR = 500

log = get_logger(__name__)


class Place(StrEnum):
    """The work that met the error."""

    START = "start"
    FILE = "file"
    FINALISE = "finalise"
    FOLLOW_UP = "follow-up"
    OPTIONAL = "optional"


class Reaction(StrEnum):
    """What follows; see the module."""

    PUT_OFF = "put off"
    CHARGE = "charge"
    END = "end"
    GO_ON = "go on"
    LEAVE = "leave"


class ErrorKind(StrEnum):
    """The kinds of errors that the policy distinguishes."""

    STEPPED_ASIDE = "stepped aside"
    BACKEND_AWAY = "backend away"
    KEY_REFUSED = "key refused"
    UNKNOWN_OUTCOME = "unknown outcome"
    UNCLEAR_ERROR = "unclear error"
    SERVER_ERROR = "server error"
    NOT_FOUND = "not found"
    REFUSED = "refused"
    BAD_ANSWER = "bad answer"
    BAD_MESSAGE = "bad message"
    LEDGER_AWAY = "ledger away"
    LEASE_LOST = "lease lost"
    LEDGER_ERROR = "ledger error"
    DEFECT = "defect"


@frozen
class RetryDelays:
    """Seconds until a run is due again, by what kept it.

    Attributes:
        unavailable: the backend, the platform's Redis or the ledger was away.
        unknown: longer than a request may still be under way in the backend, so that its effect is there to be seen.
        failed: after the first failed attempt; doubled with each further one, up to `longest`.
        key_refused: a random time between this and twice as long, so that a fleet does not ask all at once.
    """

    unavailable: float = 10.0
    unknown: float = 30.0
    failed: float = 5.0
    key_refused: float = 30.0
    longest: float = 300.0


_ALL_PUT_OFF = dict.fromkeys(Place, Reaction.PUT_OFF)
_ALL_CHARGE = dict.fromkeys(Place, Reaction.CHARGE)
_REFUSED = {
    Place.START: Reaction.END,
    Place.FILE: Reaction.END,
    Place.FINALISE: Reaction.CHARGE,
    Place.FOLLOW_UP: Reaction.GO_ON,
    Place.OPTIONAL: Reaction.GO_ON,
}
_POLICY: Mapping[ErrorKind, Mapping[Place, Reaction]] = MappingProxyType(
    {
        ErrorKind.STEPPED_ASIDE: _ALL_PUT_OFF,
        ErrorKind.BACKEND_AWAY: _ALL_PUT_OFF,
        ErrorKind.KEY_REFUSED: _ALL_PUT_OFF,
        ErrorKind.UNKNOWN_OUTCOME: _ALL_PUT_OFF | {Place.FILE: Reaction.CHARGE},
        ErrorKind.UNCLEAR_ERROR: _ALL_CHARGE | {Place.OPTIONAL: Reaction.GO_ON},
        ErrorKind.SERVER_ERROR: _ALL_CHARGE | {Place.FILE: Reaction.PUT_OFF, Place.OPTIONAL: Reaction.GO_ON},
        ErrorKind.NOT_FOUND: _REFUSED | {Place.FINALISE: Reaction.END},
        ErrorKind.REFUSED: _REFUSED,
        ErrorKind.BAD_ANSWER: _REFUSED,
        ErrorKind.BAD_MESSAGE: _REFUSED,
        ErrorKind.LEDGER_AWAY: _ALL_PUT_OFF | {Place.FILE: Reaction.LEAVE},
        ErrorKind.LEASE_LOST: dict.fromkeys(Place, Reaction.LEAVE),
        ErrorKind.LEDGER_ERROR: _ALL_CHARGE | {Place.FILE: Reaction.LEAVE},
        ErrorKind.DEFECT: _ALL_CHARGE | {Place.FILE: Reaction.END},
    }
)

# The first class that an error is an instance of.
_BY_CLASS: tuple[tuple[type[Exception], ErrorKind], ...] = (
    (SteppedAside, ErrorKind.STEPPED_ASIDE),
    (BackendUnavailable, ErrorKind.BACKEND_AWAY),
    (OutcomeUnknown, ErrorKind.UNKNOWN_OUTCOME),
    (NotFound, ErrorKind.NOT_FOUND),
    (BackendRefused, ErrorKind.REFUSED),
    (BackendError, ErrorKind.BAD_ANSWER),
    (MessageError, ErrorKind.BAD_MESSAGE),
    (LeaseLost, ErrorKind.LEASE_LOST),
    (LedgerUnavailable, ErrorKind.LEDGER_AWAY),
    (LedgerError, ErrorKind.LEDGER_ERROR),
)


def kind_of(error: Exception) -> ErrorKind:
    """The kind of an error."""
    if isinstance(error, BackendError) and error.status in _KEY_REFUSED:
        return ErrorKind.KEY_REFUSED
    if isinstance(error, BackendUnavailable | OutcomeUnknown) and error.status == _SERVER_ERROR:
        return ErrorKind.UNCLEAR_ERROR if isinstance(error, OutcomeUnknown) else ErrorKind.SERVER_ERROR
    return next((kind for error_class, kind in _BY_CLASS if isinstance(error, error_class)), ErrorKind.DEFECT)


def reaction_to(error: Exception, place: Place) -> Reaction:
    """What follows from an error at this place, by the table of this module."""
    return _POLICY[kind_of(error)][place]


def is_permanent(error: Exception, place: Place = Place.START) -> bool:
    """Whether the same step would meet the same error again: the work ends with this reason."""
    return reaction_to(error, place) is Reaction.END


def release_after(
    error: Exception, place: Place, *, attempts: int, delays: RetryDelays, breaker_seconds: float = 0.0
) -> Release:
    """How to give work back to the ledger after an error that does not end the work.

    Args:
        error: the error, met at `place`.
        attempts: failed attempts before this one.
        delays: seconds, by what kept the work.
        breaker_seconds: until the backend may be asked again at all.
    """
    kind, reason = kind_of(error), reason_of(error)
    charge = reaction_to(error, place) is Reaction.CHARGE
    growing = min(delays.failed * 2**attempts, delays.longest)
    if isinstance(error, SteppedAside):
        delay = error.delay_seconds
    elif kind is ErrorKind.KEY_REFUSED:
        delay = delays.key_refused * random.uniform(1.0, 2.0)
    elif isinstance(error, OutcomeUnknown):
        delay = max(delays.unknown, growing) if charge else delays.unknown
    else:
        delay = growing if charge else delays.unavailable
    return Release(reason, max(delay, breaker_seconds), charge=charge)


def call_or_go_on(
    call: Callable[[], T], otherwise: T, event: str, *, place: Place = Place.FOLLOW_UP, **fields: object
) -> T:
    """The value of a call; or `otherwise`, after an error that the table lets the work go on from.

    Args:
        event: what is logged about the error, with `fields`.

    Raises:
        WorkerError: the table says something else.
    """
    try:
        return call()
    except WorkerError as error:
        if reaction_to(error, place) is not Reaction.GO_ON:
            raise
        log.warning(event, reason=reason_of(error), **fields)
        return otherwise


def get_optional(ask: Callable[[], T], otherwise: T, *, what: str) -> T:
    """As `call_or_go_on`, for a call that its step can do without."""
    event = "an optional call failed; continuing without it"
    return call_or_go_on(ask, otherwise, event, place=Place.OPTIONAL, what=what)


def reason_of(error: Exception) -> str:
    """The reason in one printable line of at most 256 characters. Of an error that is not ours: its type only."""
    text = str(error) if isinstance(error, WorkerError) else f"unexpected {type(error).__name__}"
    return one_line(text)
