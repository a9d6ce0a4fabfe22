"""One request and its response on the wire: what is left of its time, how far it came, how long it has been silent."""

import time
from collections.abc import Callable

from attrs import Factory, define, frozen

# One wait lasts no longer, so that a socket needs to be given its timeout only once.
_SLICE_SECONDS = 5.0
_FIRST_NOTICE_SECONDS = 60.0

OnSilence = Callable[[float], None]
"""Called in the thread that waits, with the seconds without a byte: after a minute, then each time twice as late."""


@frozen
class Limits:
    """What bounds one exchange.

    Attributes:
        seconds: budget of all of it, from connecting to the last byte.
        connect_seconds: limit of opening a connection, and of its TLS handshake.
        body: largest body of the response in bytes, behind which nothing is read; None: any size.
        silence: longest time in seconds without a byte of the response; None: the budget.
        fresh: on a connection that has carried no other request.
        on_silence: called for a response that does not come.
    """

    seconds: float
    connect_seconds: float = 10.0
    body: int | None = None
    silence: float | None = None
    fresh: bool = False
    on_silence: OnSilence | None = None


@define
class Exchange:
    """The progress of one exchange. `sent`: bytes given to the network; `reads`: how often something came."""

    limits: Limits
    reused: bool
    ends: float
    heard_at: float
    sent: int = 0
    reads: int = 0
    _next_notice: float = Factory(lambda: _FIRST_NOTICE_SECONDS)

    @classmethod
    def begun(cls, limits: Limits, *, reused: bool) -> "Exchange":
        """It begins now, on a connection that has carried another request before if `reused`."""
        now = time.monotonic()
        return cls(limits, reused, now + limits.seconds, now)

    def left(self, limit: float) -> float:
        """Seconds for the next step, at most `limit`. Raises TimeoutError once the budget is used up."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole call is over")
        return min(left, limit)

    def slice(self, *, reading: bool) -> float:
        """Seconds until the next look at the clock. Raises TimeoutError once the budget or the patience is used up."""
        limit = _SLICE_SECONDS
        if reading and self.limits.silence is not None:
            patience = self.heard_at + self.limits.silence - time.monotonic()
            if patience <= 0:
                raise TimeoutError(f"nothing came for {self.limits.silence:.0f} s")
            limit = min(limit, self.limits.silence)
        return self.left(limit)

    def heard(self) -> None:
        """Something came."""
        self.reads += 1
        self.heard_at = time.monotonic()

    def unheard(self) -> None:
        """Nothing came in this wait: say so when it is time."""
        silent = time.monotonic() - self.heard_at
        if self.limits.on_silence is not None and silent >= self._next_notice:
            self._next_notice *= 2
            self.limits.on_silence(silent)
