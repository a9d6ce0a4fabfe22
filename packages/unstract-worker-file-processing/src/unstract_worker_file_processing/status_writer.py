"""The statuses of a batch's rows: written together about every second, then the outcomes are recorded in the ledger.

EXECUTING is always written before the file is executed: after a call without an answer the row shows what the backend
wrote last. One call writes it for ten files; a file of these that then does not start becomes PENDING again. Files of
a deferred executor get it one by one.
The last status is written within about a second of the file's end and before its outcome is recorded, so that after a
crash the next owner finds no outcome without a written row. The executor's result is in the ledger meanwhile.
"""

import threading
import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from itertools import islice

from attrs import define, evolve, field, frozen

from unstract_worker_core import serialization
from unstract_worker_core.api_results import ApiResults, result_items
from unstract_worker_core.backend.files import FileStatusUpdate
from unstract_worker_core.errors import WorkerError
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind, RunContext, RunState
from unstract_worker_core.observability.logs import bind_task, get_logger
from unstract_worker_core.runs.outcomes import last_status
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_core.ui_logs import LogEvent
from unstract_worker_file_processing.session import BatchSession

_EXECUTING_AT_ONCE = 10
_log = get_logger(__name__)


@frozen
class _Ended:
    """A file that ended: its outcome without the result, and as `text` the whole outcome as it is stored."""

    file: FileItem
    outcome: FileOutcome
    text: str


@define(eq=False)
class StatusWriter:
    """Statuses and outcomes of one batch that are still to be written. Used by the batch's thread and the ticker's."""

    session: BatchSession
    _positions: dict[int, int] = field(init=False)  # in the batch, by file number
    _executing: set[int] = field(factory=set, init=False)
    _ended: list[_Ended] = field(factory=list, init=False)
    _recorded: list[_Ended] = field(factory=list, init=False)  # and not reported yet
    _since: float = field(default=0.0, init=False)
    _lock: threading.RLock = field(factory=threading.RLock, init=False)

    @_positions.default
    def _index_files(self) -> dict[int, int]:
        return {file.number: position for position, file in enumerate(self.session.claim.files)}

    def begin(self, file: FileItem) -> None:
        """Have the file's row say EXECUTING. Raises as `flush` does."""
        with self._lock:
            if file.number not in self._executing:
                self.flush(self._starting(file))

    def end(self, file: FileItem, outcome: FileOutcome) -> None:
        """Write and record the file's outcome within about a second. Raises as `flush` does."""
        session = self.session
        if session.context.chord:
            session.persist(lambda: push_api_items(session.runtime, session.claim.run_id, session.context, outcome))
        small = evolve(outcome, result=None, metadata={})
        text = serialization.encode(small if session.context.chord else outcome)
        text.encode()  # text that is not Unicode must fail here, where it is known which file is at fault
        with self._lock:
            if not self._ended:
                self._since = time.monotonic()
            self._ended.append(_Ended(file, small, text))
            if self._due():
                self.flush()

    def tick(self) -> None:
        """Flush outcomes that are due while the batch's thread is busy. A failure is left to that thread."""
        if not self._ended or not self._lock.acquire(blocking=False):
            return
        try:
            context = self.session.context
            with bind_task(execution_id=context.execution_id, organization_id=context.organization_id):
                if self._due():
                    self.flush()
        except WorkerError as error:
            _log.info("statuses are left for later", reason=str(error))
        finally:
            self._lock.release()

    def flush(self, starting: Sequence[FileItem] = ()) -> None:
        """Write the statuses of all files that ended and of those that start, then record the outcomes.

        Raises:
            BackendError: the backend cannot be reached.
            LedgerError: the ledger cannot, or the lease is lost.
        """
        with self._lock:
            self._write_all(starting)
            if self._ended:
                session, texts = self.session, self._texts()
                session.persist(lambda: session.runtime.ledger.batches.record_all(session.claim, texts))
                self._recorded, self._ended = self._ended, []
                self.report()

    def complete(self) -> RunState:
        """Flush after the last file and close the batch in the same step; `report` is left to the caller.

        Returns:
            The run's state afterwards.
        """
        with self._lock:
            self._write_all(())
            session, texts = self.session, self._texts()
            state = session.persist(lambda: session.runtime.ledger.batches.complete(session.claim, texts))
            self._recorded, self._ended = self._ended, []
            return state

    def report(self) -> None:
        """Count and log what was recorded."""
        recorded, self._recorded = self._recorded, []
        for each in recorded:
            self._report(each)
        completed = [each for each in recorded if each.outcome.kind is OutcomeKind.COMPLETED]
        if completed:  # one log record for all: a record for each would be a twentieth of a file's cost
            _log.info(
                "files ended",
                file_execution_id=" ".join(each.file.file_execution_id or "" for each in completed),
                outcome=str(OutcomeKind.COMPLETED),
                files=len(completed),
                seconds=max(each.outcome.seconds for each in completed),
            )

    def _write_all(self, starting: Sequence[FileItem]) -> None:
        updates = [update for each in self._ended if (update := self._last_status(each)) is not None]
        executing = FileStatusUpdate(status=ExecutionStatus.EXECUTING)
        updates += [(file, executing) for file in starting if file.file_execution_id is not None]
        if updates:
            self._write(updates)
        self._executing.update(file.number for file in starting)

    def _texts(self) -> dict[int, str]:
        return {each.file.number: each.text for each in self._ended}

    def _due(self) -> bool:
        return time.monotonic() - self._since >= self.session.runtime.settings.files.status_seconds

    def _starting(self, file: FileItem) -> list[FileItem]:
        """The file, and those after it that start next: nine, or none if files are only sent off."""
        if self.session.executor.deferred:
            return [file]
        files = self.session.claim.files
        later = (files[position] for position in range(self._positions[file.number] + 1, len(files)))
        return [file, *islice(filter(self._will_start, later), _EXECUTING_AT_ONCE - 1)]

    def _will_start(self, file: FileItem) -> bool:
        claim = self.session.claim
        ran = file.number in claim.recorded or file.number in claim.executed
        return not (ran or file.unsupported or file.is_executed or file.number in claim.charges)

    def _last_status(self, ended: _Ended) -> tuple[FileItem, FileStatusUpdate] | None:
        """The file's row and its last status; of a file that did not start, only if the row may be EXECUTING."""
        file, outcome = ended.file, ended.outcome
        may_be_executing = file.number in self._executing or self.session.claim.fence > 1
        if file.file_execution_id is None or (outcome.kind is OutcomeKind.SKIPPED and not may_be_executing):
            return None
        return file, last_status(outcome)

    def _write(self, updates: Sequence[tuple[FileItem, FileStatusUpdate]]) -> None:
        """Write in one call; then write singly what failed, so that each row gets its own retries or refusal."""
        session, left = self.session, list(updates)
        files, organization = session.runtime.backend.files, session.context.organization_id
        if len(updates) > 1:
            failed = self._write_together(updates)
            left = [each for each in updates if failed is None or each[0].file_execution_id in failed]
        for file, update in left:
            row, key = file.file_execution_id or "", session.key(file, f"status-{update.status}")
            write = partial(files.update_status, organization, row, update, key=key)
            session.try_call("file-execution.status", write)

    def _write_together(self, updates: Sequence[tuple[FileItem, FileStatusUpdate]]) -> set[str] | None:
        session, claim, files = self.session, self.session.claim, self.session.runtime.backend.files
        statuses = "".join(f"{file.identity}{update.status}" for file, update in updates)
        digest = sha256(statuses.encode()).hexdigest()[:16]
        # With the fence: a backend that keeps keys must carry this out again after another owner wrote in between.
        key = f"{claim.run_id}:{claim.epoch}:{claim.batch}.{claim.fence}:statuses-{digest}"
        rows = [(file.file_execution_id or "", update) for file, update in updates]
        return session.try_call(
            "file-execution.batch_status",
            lambda: {row for row, _ in files.update_statuses(session.context.organization_id, rows, key=key)},
        )

    def _report(self, ended: _Ended) -> None:
        runtime, context = self.session.runtime, self.session.context
        kind, error = ended.outcome.kind, ended.outcome.error
        runtime.metrics.files.labels(kind.lower()).inc(ended.outcome.uploads)
        if kind is not OutcomeKind.COMPLETED:
            _log.info(
                "file ended",
                file_execution_id=ended.file.file_execution_id,
                outcome=str(kind),
                seconds=ended.outcome.seconds,
                error=error,
            )
        text = f"File '{ended.file.name}' ended {kind}" + (f": {error}" if error else "")
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


def push_api_items(runtime: Runtime, run_id: str, context: RunContext, outcome: FileOutcome) -> None:
    """Append the items of one file to its chord's API results. Repeated calls append nothing."""
    if context.kind is RunKind.API:
        results = ApiResults(runtime.platform_redis, ttl_seconds=runtime.settings.files.result_ttl_seconds)
        marker, items = f"{run_id}:{outcome.number}", tuple(result_items(outcome))
        results.push_once(context.workflow_id, context.execution_id, marker, items)
