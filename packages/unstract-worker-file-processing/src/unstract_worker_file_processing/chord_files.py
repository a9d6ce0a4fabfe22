"""The files of a chord's batch before they are worked on: rows, files in use, what others have done already.

Each file's verdict is journalled as `file:{number}`: "row <id>", "skip" or "fail <reason>".
"""

from collections.abc import Sequence

from attrs import frozen

from unstract_worker_core.active_files import ActiveFile, ActiveFiles
from unstract_worker_core.backend.models import Execution, FileExecution, FileStatusUpdate
from unstract_worker_core.errors import BackendRefused, OutcomeUnknown, UnexpectedAnswer
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.messages import BatchMessage
from unstract_worker_core.runs.batching import deduplicate
from unstract_worker_core.runs.failure_policy import reason_of
from unstract_worker_core.runs.rows import match_rows, row_request
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["IN_USE", "Verdict", "items_of", "verdicts"]

IN_USE = "the file is being processed by another execution"


@frozen
class Verdict:
    """What becomes of one file: worked on with its row's id, skipped, or failed with the reason."""

    row_id: str = ""
    reason: str = ""

    def text(self) -> str:
        """For the journal."""
        return f"row {self.row_id}" if self.row_id else f"fail {self.reason}" if self.reason else "skip"

    @staticmethod
    def read(text: str) -> "Verdict":
        """From the journal."""
        word, _, rest = text.partition(" ")
        return Verdict(row_id=rest if word == "row" else "", reason=rest if word == "fail" else "")


def items_of(message: BatchMessage) -> tuple[FileItem, ...]:
    """The batch's files; API uploads of equal content are one item, as the backend has one row for them."""
    return deduplicate(message.files) if message.context.kind is RunKind.API else message.files


def verdicts(
    session: RunSession, message: BatchMessage, items: Sequence[FileItem], execution: Execution
) -> list[Verdict]:
    """A verdict for each item, in order; what the journal has already stands."""
    noted = [session.journal_get(f"file:{item.number}") for item in items]
    fresh = [item for item, text in zip(items, noted, strict=True) if text is None]
    over = execution.status.terminal
    taken = frozenset() if over else _in_use(session, message, fresh)
    found = []
    for item, stands in zip(items, noted, strict=True):
        session.check()
        if stands is None:
            verdict = Verdict() if over else _verdict(session, message, item, taken=item.number in taken)
            found.append(Verdict.read(session.journal_put(f"file:{item.number}", verdict.text())))
        else:
            found.append(Verdict.read(stands))
    return found


def _in_use(session: RunSession, message: BatchMessage, items: Sequence[FileItem]) -> frozenset[int]:
    """Numbers of files that another execution works on; API uploads have no identity to look up."""
    known = {ActiveFile(item.provider_file_uuid, item.path): item for item in items if item.provider_file_uuid}
    marked = _marks(session, message).in_use(known)
    rest = [(file.provider_file_uuid, file.file_path) for file in known if file not in marked]
    held = session.runtime.backend.files.check_active(
        session.organization_id, message.context.workflow_id, rest, message.context.execution_id
    )
    return frozenset(known[file].number for file in (*marked, *(ActiveFile(*pair) for pair in held)))


def _verdict(session: RunSession, message: BatchMessage, item: FileItem, *, taken: bool) -> Verdict:
    try:
        row = _row(session, message, item)
    except (BackendRefused, UnexpectedAnswer) as error:
        return Verdict(reason=reason_of(error))
    # The row of an equal upload from another batch is not this upload's: its own item is still owed.
    owed = message.context.kind is RunKind.API and row.file_name != item.name
    if row.status is not None and row.status.terminal and not owed:
        return Verdict()
    status = ExecutionStatus.ERROR if taken else ExecutionStatus.PENDING
    if taken or row.status is None:
        update = FileStatusUpdate(status=status, error_message=IN_USE if taken else None)
        session.runtime.backend.files.update_status(
            session.organization_id, row.id, update, key=session.key(f"status-{status}", str(item.number))
        )
    if item.provider_file_uuid:
        _marks(session, message).release([ActiveFile(item.provider_file_uuid, item.path)])
    return Verdict(reason=IN_USE) if taken else Verdict(row_id=row.id)


def _row(session: RunSession, message: BatchMessage, item: FileItem) -> FileExecution:
    """The file's row, created where there is none. Parallel batches may have doubled it: then any of them."""
    context, files = message.context, session.runtime.backend.files
    request, key = row_request(item, context.kind), session.key("row", str(item.number))
    try:
        return files.create(session.organization_id, context.execution_id, context.workflow_id, request, key=key)
    except (BackendRefused, UnexpectedAnswer, OutcomeUnknown):
        rows = {row.id: row for row in files.list(session.organization_id, context.execution_id)}
        found = match_rows([item], rows.values(), context.kind).get(item.number)
        if found is None:
            raise
        return rows[found]


def _marks(session: RunSession, message: BatchMessage) -> ActiveFiles:
    context, ttl = message.context, session.runtime.settings.files.active_file_ttl_seconds
    return ActiveFiles(session.runtime.cache_redis, context.workflow_id, context.execution_id, ttl)
