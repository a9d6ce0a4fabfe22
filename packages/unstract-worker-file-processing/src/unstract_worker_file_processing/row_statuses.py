"""The statuses of a batch's rows: written together about every second, each file's outcome recorded right after.

EXECUTING is always written before `execute-file`, so that a row which is read after a call without an answer shows
the backend's own last word. It is written for as many of the next files as will begin within the second, which makes
it one call a second for quick files and one a file for slow ones; a file that then does not begin is PENDING again.
A last status is written within about a second of the file's end, before its outcome is recorded: whoever takes the
batch up after a crash finds no outcome whose row was not written. What ran is in the ledger all the while.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice

from attrs import define, field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.models import BatchWritten, FileStatusUpdate
from unstract_worker_core.errors import WorkerError
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind, RunState
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.statuses import ExecutionStatus
from unstract_worker_core.ui_logs import LogEvent
from unstract_worker_file_processing.work import BatchWork

__all__ = ["RowStatuses"]

_MOST_AT_ONCE = 100
_log = get_logger(__name__)


@frozen
class _Ended:
    """A file that ended, without what only the caller gets; `text`: its outcome as it is stored."""

    file: FileItem
    kind: OutcomeKind
    error: str | None
    seconds: float
    uploads: int
    text: str


@define(eq=False)
class RowStatuses:
    """Statuses and outcomes of one batch on their way. Used by the batch's thread, and by the ticker's beside it."""

    work: BatchWork
    _executing: set[int] = field(factory=set, init=False)
    _ended: list[_Ended] = field(factory=list, init=False)
    _since: float = field(default=0.0, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    def begins(self, file: FileItem) -> None:
        """Before the file is executed. Raises like `settle`."""
        with self._lock:
            if file.number not in self._executing:
                self.settle(self._next(file))

    def ends(self, file: FileItem, outcome: FileOutcome) -> None:
        """The file has this outcome; it is written and recorded soon. Raises like `settle`."""
        text = serialization.encode(outcome)
        text.encode()  # what Redis could not take is found out now, while it is known whose it is
        with self._lock:
            if not self._ended:
                self._since = time.monotonic()
            self._ended.append(_Ended(file, outcome.kind, outcome.error, outcome.seconds, outcome.uploads, text))
            self.work.paces.took(self.work.context.workflow_id, outcome.seconds)
            if self._due():
                self.settle()

    def tick(self) -> None:
        """Settle what has waited long enough while the batch's thread is busy; what fails is left to that thread."""
        if not self._ended or not self._lock.acquire(blocking=False):
            return
        try:
            context = self.work.context
            with bind_task(execution_id=context.execution_id, organization_id=context.organization_id):
                if self._due():
                    self.settle()
        except WorkerError as error:
            _log.info("statuses are left for later", reason=str(error))
        finally:
            self._lock.release()

    def settle(self, begin: Sequence[FileItem] = ()) -> None:
        """Write all statuses that wait, and EXECUTING for `begin`; then record the outcomes.

        Raises BackendError when the backend is out of reach, and LedgerError.
        """
        with self._lock:
            self._write_all(begin)
            if self._ended:
                work, texts = self.work, self._texts()
                work.kept(lambda: work.runtime.ledger.batches.record_all(work.claim, texts))
                self._tell_all()

    def complete(self) -> RunState:
        """After the last file: as `settle`, and the batch is closed with it; the state that the run is in then."""
        with self._lock:
            self._write_all(())
            work, texts = self.work, self._texts()
            state = work.kept(lambda: work.runtime.ledger.batches.complete(work.claim, texts))
            self._tell_all()
            return state

    def _write_all(self, begin: Sequence[FileItem]) -> None:
        updates = [update for each in self._ended if (update := self._last(each)) is not None]
        executing = FileStatusUpdate(status=ExecutionStatus.EXECUTING)
        updates += [(file, executing) for file in begin if file.file_execution_id is not None]
        if updates:
            self._write(updates)
        self._executing.update(file.number for file in begin)

    def _texts(self) -> dict[int, str]:
        return {each.file.number: each.text for each in self._ended}

    def _due(self) -> bool:
        return time.monotonic() - self._since >= self.work.runtime.settings.files.status_seconds

    def _next(self, file: FileItem) -> list[FileItem]:
        """The file, and those after it that begin within the second if they are as quick as those before."""
        second = self.work.runtime.settings.files.status_seconds
        pace = self.work.paces.of(self.work.context.workflow_id)
        many = 1 if pace is None else min(int(second / max(pace, 0.01)), _MOST_AT_ONCE)
        later = (each for each in self.work.claim.files if each.number != file.number and self._will_begin(each))
        return [file, *islice(later, max(0, many - 1))]

    def _will_begin(self, file: FileItem) -> bool:
        claim = self.work.claim
        over = file.number in claim.recorded or file.number in claim.executed or file.number in self._executing
        odd = file.unsupported or file.is_executed or file.number in claim.charges
        return not (over or odd or any(each.file.number == file.number for each in self._ended))

    def _last(self, ended: _Ended) -> tuple[FileItem, FileStatusUpdate] | None:
        """The last status of a file that ended. One that did not begin stays PENDING, whatever was foreseen."""
        file = ended.file
        if file.file_execution_id is None:
            return None
        if ended.kind is OutcomeKind.SKIPPED:
            foreseen = file.number in self._executing or self.work.claim.fence > 1
            return (file, FileStatusUpdate(status=ExecutionStatus.PENDING)) if foreseen else None
        error = ended.error if ended.kind is OutcomeKind.ERROR else None
        status = ExecutionStatus(ended.kind)
        return file, FileStatusUpdate(status=status, error_message=error, execution_time=ended.seconds)

    def _write(self, updates: Sequence[tuple[FileItem, FileStatusUpdate]]) -> None:
        """In one call; what it could not write by itself, so that each gets its own retries or refusal."""
        left: Iterable[tuple[FileItem, FileStatusUpdate]] = updates
        if len(updates) > 1:
            written = self._write_together(updates)
            failed = {row for row, _ in written.failed} if written is not None else None
            left = [each for each in updates if failed is None or each[0].file_execution_id in failed]
        for file, update in left:
            self._write_one(file, update)

    def _write_one(self, file: FileItem, update: FileStatusUpdate) -> None:
        work, row, key = self.work, file.file_execution_id or "", self.work.key(file, f"status-{update.status}")
        files, organization = work.runtime.backend.files, work.context.organization_id
        work.tried("file-execution.status", lambda: files.update_status(organization, row, update, key=key))

    def _write_together(self, updates: Sequence[tuple[FileItem, FileStatusUpdate]]) -> BatchWritten | None:
        work, claim = self.work, self.work.claim
        told = "".join(f"{file.identity}{update.status}" for file, update in updates)
        digest = sha256(told.encode()).hexdigest()[:16]
        # The fence is in the key: what another owner wrote in between must not keep this from being carried out.
        key = f"{claim.run_id}:{claim.epoch}:{claim.batch}.{claim.fence}:statuses-{digest}"
        rows = [(file.file_execution_id or "", update) for file, update in updates]
        return work.tried(
            "file-execution.batch_status",
            lambda: work.runtime.backend.files.update_statuses(work.context.organization_id, rows, key=key),
        )

    def _tell_all(self) -> None:
        recorded, self._ended = self._ended, []
        for each in recorded:
            self._tell(each)
        completed = [each for each in recorded if each.kind is OutcomeKind.COMPLETED]
        if completed:  # one record for all: for each its own would be a twentieth of what a file costs
            _log.info(
                "files ended",
                file_execution_id=" ".join(each.file.file_execution_id or "" for each in completed),
                outcome=str(OutcomeKind.COMPLETED),
                files=len(completed),
                seconds=max(each.seconds for each in completed),
            )

    def _tell(self, ended: _Ended) -> None:
        runtime, context, kind = self.work.runtime, self.work.context, ended.kind
        runtime.metrics.files.labels(kind.lower()).inc(ended.uploads)
        if kind is not OutcomeKind.COMPLETED:
            _log.info(
                "file ended",
                file_execution_id=ended.file.file_execution_id,
                outcome=str(kind),
                seconds=ended.seconds,
                error=ended.error,
            )
        text = f"File '{ended.file.name}' ended {kind}" + (f": {ended.error}" if ended.error else "")
        runtime.log_events.log(
            LogEvent(
                context.log_channel,
                text,
                context.execution_id,
                context.organization_id,
                level="ERROR" if kind is OutcomeKind.ERROR else "INFO",
                file_execution_id=ended.file.file_execution_id,
            )
        )
