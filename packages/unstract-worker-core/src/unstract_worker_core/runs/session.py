"""One claimed run while it is worked on, and the decisions that a step can end with."""

from collections.abc import Mapping

from attrs import field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.errors import SteppedAside
from unstract_worker_core.ledger import DeadLetter, FileItem, FinalState, Held, RunClaim, RunContext
from unstract_worker_core.messages.start import StartMessage
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.ui_logs import LogEvent


@frozen
class Arm:
    """Store these batches and let them be worked on; without any, the finaliser writes what `context` says."""

    context: RunContext
    batches: tuple[tuple[FileItem, ...], ...] = ()


@frozen
class Close:
    """Nothing is left to do for this run. With a `dead_letter`, because nothing can be done."""

    final: FinalState = field(factory=FinalState)
    dead_letter: DeadLetter | None = None


@frozen
class Release:
    """Give the run back; it is due again after the delay. `charge` counts a failed attempt."""

    reason: str
    delay_seconds: float = 0.0
    charge: bool = False


Decision = Arm | Close | Release


@frozen
class RunSession:
    """What a step works with: the process's parts, the claim, the lease that is held meanwhile.

    Attributes:
        journal: what was done, by this claim and by those before it.
    """

    runtime: Runtime
    claim: RunClaim
    held: Held
    journal: dict[str, str] = field(init=False)

    @journal.default
    def _of_claims_before(self) -> dict[str, str]:
        return dict(self.claim.journal)

    @property
    def organization_id(self) -> str:
        """The organization that every backend call of this run is for."""
        return self.claim.organization_id

    def check(self) -> None:
        """Call before each effect. Raises LeaseLost, or SteppedAside while the process drains."""
        self.held.check()
        if self.runtime.draining.is_set():
            raise SteppedAside("the process drains")

    def journal_get(self, name: str) -> str | None:
        """What the journal says about a step; None: it was not done."""
        return self.journal.get(name)

    def journal_put(self, name: str, value: str) -> str:
        """Journal a step that was done; returns the first value of this name. Raises LeaseLost."""
        return self.journal_put_all({name: value})[name]

    def journal_put_all(self, notes: Mapping[str, str]) -> dict[str, str]:
        """As `journal_put`, for several steps at once; the first values, by name. Raises LeaseLost."""
        first = self.runtime.ledger.runs.journal(self.claim, notes) if notes else {}
        self.journal.update(first)
        return first

    def key(self, operation: str, file: str = "-") -> str:
        """The idempotency key of an effect: execution, epoch, file, operation."""
        return f"{self.claim.run_id}:{self.claim.epoch + 1}:{file}:{operation}"

    def log_to_ui(self, channel: str | None, message: str, *, level: str = "INFO") -> None:
        """A line for the execution's log in the platform's UI; best effort."""
        event = LogEvent(channel, message, self.claim.run_id, self.organization_id, "INITIALIZE", level)
        self.runtime.log_events.log(event)


def start_of(claim: RunClaim) -> StartMessage:
    """The start message that a run was accepted with. Raises MessageError."""
    return serialization.decode(claim.start, StartMessage)
