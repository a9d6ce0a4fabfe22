"""One claimed batch while its files are worked on: what the steps share, and what a failed call means for them."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeVar

from attrs import Factory, define, field

from unstract_worker_core.errors import BackendError, LedgerUnavailable, MessageError, SteppedAside
from unstract_worker_core.ledger import BatchClaim, FileItem, Held, RunContext
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.repeating import repeated
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_core.worker.recent import Recent
from unstract_worker_core.worker.runtime import Runtime
from unstract_worker_file_processing.executor import FileExecutor
from unstract_worker_file_processing.paces import Paces

__all__ = ["BatchWork", "HandedBack", "out_of_reach", "pause_seconds"]

T = TypeVar("T")
_SHORTEST_PAUSE = 5.0
_log = get_logger(__name__)


class HandedBack(SteppedAside):
    """The batch goes back to the ledger; `charge_file` is the file to be charged for it (0: none)."""

    def __init__(self, reason: str, *, delay_seconds: float, charge_file: int = 0) -> None:
        self.charge_file = charge_file
        super().__init__(reason, delay_seconds=delay_seconds)


def out_of_reach(error: BackendError) -> bool:
    """Whether waiting is the answer. A bare 500 that outlived its retries is the view's own: going on is."""
    return error.retryable and error.status != 500


def pause_seconds(runtime: Runtime) -> float:
    """How long work that waits for the backend is put off."""
    return max(_SHORTEST_PAUSE, runtime.backend.breaker.seconds_until_trial())


@define(eq=False)
class BatchWork:
    """A claimed batch. `ends` is its deadline on the monotonic clock; `stopped`: no further file starts.

    `paces`: the process's own, of all its batches.

    `known`: hashes of the batch's contents that have a history, as the backend told them a moment ago.
    """

    runtime: Runtime
    executor: FileExecutor
    claim: BatchClaim
    held: Held
    ends: float
    paces: Paces
    stopped: bool = False
    known: Recent[frozenset[str] | None] = Factory(Recent)
    _begun: int = field(default=0, init=False)  # in flight already, since the one before it was done
    _after: dict[int, int] = field(init=False)

    @_after.default
    def _in_their_order(self) -> dict[int, int]:
        return dict(pairwise(file.number for file in self.claim.files))

    @property
    def context(self) -> RunContext:
        """What the files of the run share."""
        return self.claim.context

    def key(self, file: FileItem, operation: str) -> str:
        """Idempotency key of one effect on one file (a run's id is its execution's, or unique to a chord's batch)."""
        return f"{self.claim.run_id}:{self.claim.epoch}:{file.identity}:{operation}"

    def seconds_left(self) -> float:
        """Time until the batch's deadline."""
        return self.ends - time.monotonic()

    def stop_seen(self) -> bool:
        """Ask whether the execution was stopped, and tell the ledger if it was.

        All batches of the execution in this process share an answer for a second; a stop that a worker has seen is
        in the ledger, and nobody needs to ask any more.
        """
        context = self.context
        if not self.stopped:
            seconds = self.runtime.settings.files.status_seconds
            try:
                status = self.runtime.statuses.get(context.execution_id, self._status, seconds=seconds)
            except BackendError as error:
                if not error.retryable:
                    raise
                # Any 500 too: it concerns the whole execution, and the batch's deadline bounds the waiting.
                raise HandedBack(str(error), delay_seconds=pause_seconds(self.runtime)) from None
            self.stopped = status is ExecutionStatus.STOPPED
            if self.stopped:
                self.runtime.ledger.runs.request_stop(self.claim.run_id)
        return self.stopped

    def _status(self) -> ExecutionStatus:
        return self.runtime.backend.executions.get(self.context.organization_id, self.context.execution_id).status

    def begin(self, file: FileItem) -> bool:
        """The file is in flight from now on; whether the run was stopped. Raises as `kept` does."""
        begun, self._begun = self._begun, 0
        if begun == file.number:
            return False
        return self.kept(lambda: self.runtime.ledger.batches.start_file(self.claim, file.number))

    def begin_none(self) -> None:
        """No file is in flight: one that waits for its turn must not be charged for another's crash."""
        if self._begun:
            self._begun = 0
            self.kept(lambda: self.runtime.ledger.batches.start_file(self.claim, 0))

    def note_executed(self, file: FileItem, note: dict[str, Any]) -> None:
        """Keep what came of the file; the one after it, if it may, is in flight with that. Raises as `kept` does."""
        batches, following = self.runtime.ledger.batches, self._following(file)
        begun = self.kept(lambda: batches.note_executed(self.claim, file.number, note, following=following))
        self._begun = following if begun else 0

    def _following(self, file: FileItem) -> int:
        """The file that begins as soon as this one is done; 0: none, or one for which something else comes first."""
        claim = self.claim
        number = self._after.get(file.number, 0)
        plain = number not in claim.recorded and number not in claim.executed and number not in claim.charges
        return number if plain and not self.runtime.draining.is_set() else 0

    def tried(self, what: str, call: Callable[[], T], *, wait: bool = True) -> T | None:
        """Make a call that must not fail the file: a refusal is logged, the client counts it, and None comes back.

        Raises the error of a backend that is out of reach, if that is worth waiting for, and LeaseLost.
        """
        self.held.check()
        try:
            return call()
        except (BackendError, MessageError) as error:
            if wait and isinstance(error, BackendError) and out_of_reach(error):
                raise
            _log.warning("a call of lesser weight failed, the file goes on", call=what, error=str(error))
            return None

    def kept(self, step: Callable[[], T]) -> T:
        """Write to the ledger, for as long as the lease is ours: what was done must not be forgotten over a restart.

        Raises LedgerUnavailable once the lease ran down, LeaseLost when somebody else has the batch.
        """
        self.held.check()

        def worth_it(error: Exception) -> bool:
            return isinstance(error, LedgerUnavailable) and not self.held.lost

        return repeated(step, on=worth_it, attempts=None, timeout=None, wait_initial=0.5, wait_max=2.0)
