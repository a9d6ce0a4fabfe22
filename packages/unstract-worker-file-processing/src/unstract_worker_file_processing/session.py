"""One claimed batch while its files are processed: what the steps share, and how they react to failed calls."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from attrs import Factory, define

from unstract_worker_core.errors import BackendError, LedgerUnavailable, MessageError, SteppedAside
from unstract_worker_core.ledger import BatchClaim, FileItem, Held, RunContext
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.retries import Retrying
from unstract_worker_core.runs.failure_policy import (
    ErrorKind,
    Place,
    Reaction,
    RetryDelays,
    is_permanent,
    kind_of,
    reaction_to,
    release_after,
)
from unstract_worker_core.runs.runtime import Runtime, TtlCache
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_file_processing.executor import ExecutorAway, GuardedExecutor

T = TypeVar("T")
BATCH_DEADLINE = "the batch's deadline (CELERY_TASK_TIME_LIMIT of file-processing)"
MAX_CHARGES = 3  # failed attempts that may be the file's own fault
_SHORTEST_PAUSE = 5.0
# A deferred file takes seconds at least, so its batch asks less often whether it was stopped.
_DEFERRED_STATUS_AGE = 5
_DELAYS = RetryDelays(unavailable=_SHORTEST_PAUSE, unknown=_SHORTEST_PAUSE)
_RETRYING = Retrying(attempts=None, timeout=None, wait_initial=0.5, wait_max=2.0)
_log = get_logger(__name__)


class HandedBack(SteppedAside):
    """The batch is given back to the ledger. `charge_file`: number of the file that is charged for it (0: none)."""

    def __init__(self, reason: str, *, delay_seconds: float, charge_file: int = 0) -> None:
        self.charge_file = charge_file
        super().__init__(reason, delay_seconds=delay_seconds)

    @classmethod
    def after(cls, error: BackendError, runtime: Runtime) -> "HandedBack":
        """Put the batch off after an error of the backend that may pass; no file is charged."""
        seconds = runtime.backend.breaker.seconds_until_trial()
        release = release_after(error, Place.FILE, attempts=0, delays=_DELAYS, breaker_seconds=seconds)
        if kind_of(error) is ErrorKind.KEY_REFUSED:
            _log.error("the batch waits until the backend accepts the API key", reason=release.reason)
        return cls(release.reason, delay_seconds=release.delay_seconds)


def pause_seconds(runtime: Runtime) -> float:
    """Seconds by which work that waits for the backend is put off."""
    return max(_SHORTEST_PAUSE, runtime.backend.breaker.seconds_until_trial())


@define(eq=False)
class BatchSession:
    """A claimed batch.

    Attributes:
        ends: the batch's deadline on the monotonic clock.
        stopped: whether the run was stopped: no further file starts.
        known_hashes: cache of the hashes in this batch that have a history.
    """

    runtime: Runtime
    executor: GuardedExecutor
    claim: BatchClaim
    held: Held
    ends: float
    stopped: bool = False
    known_hashes: TtlCache[frozenset[str] | None] = Factory(TtlCache)

    @property
    def context(self) -> RunContext:
        """The data that all files of the run share."""
        return self.claim.context

    def key(self, file: FileItem, operation: str) -> str:
        """Idempotency key of one effect on one file (a run's id is its execution's, or unique to a chord's batch)."""
        return f"{self.claim.run_id}:{self.claim.epoch}:{file.identity}:{operation}"

    def seconds_left(self) -> float:
        """Time until the batch's deadline."""
        return self.ends - time.monotonic()

    def stop_requested(self) -> bool:
        """Ask the backend whether the execution was stopped, and write it into the ledger if it was.

        All batches of the execution in this process share an answer for a second, as they share the orchestrator's
        last one. Once the ledger knows of the stop, the backend is not asked any more.
        """
        if self.stopped:
            return True
        seconds = self.runtime.settings.files.status_seconds * (_DEFERRED_STATUS_AGE if self.executor.deferred else 1)
        if self._seconds_since_executing() < seconds:
            return False
        context, executions = self.context, self.runtime.backend.executions
        try:
            status = self.runtime.statuses.get(
                context.execution_id,
                lambda: executions.get(context.organization_id, context.execution_id).status,
                seconds=seconds,
            )
        except BackendError as error:
            if is_permanent(error, Place.FILE):
                raise
            # Also for a 500: it concerns the whole execution, and the batch's deadline bounds the waiting.
            raise HandedBack.after(error, self.runtime) from None
        self.stopped = status is ExecutionStatus.STOPPED
        if self.stopped:
            self.runtime.ledger.runs.request_stop(self.claim.run_id)
        return self.stopped

    def _seconds_since_executing(self) -> float:
        """The age of the orchestrator's last answer that the execution is EXECUTING; infinite if it had none."""
        before_arming = self.context.executing_seconds
        if before_arming is None:
            return math.inf
        return before_arming + self.claim.armed_seconds + time.monotonic() - self.claim.asked_at

    @contextmanager
    def calling_executor(self, file: FileItem) -> Iterator[None]:
        """Around each call of the executor. Raises HandedBack, without a charge, while the executor is unavailable."""
        try:
            with self.executor.calling():
                yield
        except ExecutorAway as error:
            delay = max(error.seconds, _SHORTEST_PAUSE)
            raise HandedBack(f"file {file.number}: {error}", delay_seconds=delay) from None

    def try_call(self, what: str, call: Callable[[], T], *, wait: bool = True) -> T | None:
        """Make a call that must not fail the file.

        Returns:
            The answer; None where the backend refused, which is logged.

        Raises:
            BackendError: the backend cannot be reached, and `wait` says that this is worth waiting for.
            LeaseLost: the lease lapsed.
        """
        self.held.check()
        try:
            return call()
        except (BackendError, MessageError) as error:
            if wait and reaction_to(error, Place.OPTIONAL) is not Reaction.GO_ON:
                raise
            _log.warning("a minor call failed, the file goes on", call=what, error=str(error))
            return None

    def persist(self, step: Callable[[], T], *, leased: bool = True) -> T:
        """Write to the ledger; repeated while the lease is ours, so that results survive a restart of Redis.

        Args:
            step: the write.
            leased: whether it needs the lease. Else it is made once if the lease was lost.

        Raises:
            LedgerUnavailable: Redis was unavailable until the lease ended.
            LeaseLost: another worker has the batch.
        """
        if leased:
            self.held.check()
        try:
            return step()
        except LedgerUnavailable as error:
            return _RETRYING.after(error, lambda each: isinstance(each, LedgerUnavailable) and not self.held.lost, step)
