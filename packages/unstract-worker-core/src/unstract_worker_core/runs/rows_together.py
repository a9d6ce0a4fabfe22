"""Rows for many files in one call; what that leaves undone is asked for file by file (`rows`).

The backend makes such a batch in one transaction and tells of rows that a late error took back again, so an id from
its answer counts only once a status was written to it.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from unstract_worker_core.backend.files import CreatedFile, FileHash, FileStatusUpdate
from unstract_worker_core.errors import BackendRefused, OutcomeUnknown, UnexpectedAnswer
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import is_permanent, reason_of
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.runs.start import LoadedRun
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["AT_ONCE", "created_together", "match_created", "put_pending", "row_request"]

AT_ONCE = 100
_ONE_BY_ONE = "rows one by one"

log = get_logger(__name__)


def row_request(item: FileItem, kind: RunKind) -> FileHash:
    """What the backend is told about a file."""
    return FileHash(
        file_name=item.name,
        file_path=item.path,
        file_hash=item.hash or None,
        file_size=item.size,
        mime_type=item.mime_type or None,
        provider_file_uuid=item.provider_file_uuid,
        source_connection_type="API" if kind is RunKind.API else item.source_connection_type or "FILESYSTEM",
        fs_metadata=item.fs_metadata or None,
    )


def created_together(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str]:
    """Rows by file number, PENDING and journalled; files that are not in it are left to be asked for singly.

    Raises OutcomeUnknown; whoever takes the run up next looks at the rows that are there and then goes singly, so
    that a batch which the backend can never carry out does not come back for ever.
    """
    rows: dict[int, str] = {}
    if len(items) < 2 or session.journal_get(_ONE_BY_ONE) is not None:
        return rows
    for start in range(0, len(items), AT_ONCE):
        session.check()
        made = _created(session, loaded, items[start : start + AT_ONCE])
        if made is None:
            break
        lost = put_pending(session, list(made.values()))
        notes = {f"row:{number}": row for number, row in made.items() if row not in lost}
        # Not kept in the session: `rows` has them.
        stands = session.runtime.ledger.runs.note_all(session.claim, notes)
        rows |= {int(name.removeprefix("row:")): row for name, row in stands.items()}
    return rows


def put_pending(session: RunSession, rows: Sequence[str]) -> frozenset[str]:
    """Write PENDING to rows, `AT_ONCE` at most; those that could not be written."""
    pending = FileStatusUpdate(status=ExecutionStatus.PENDING)
    key = session.key("pending", sha256("".join(rows).encode()).hexdigest()[:16])
    updates = [(row, pending) for row in rows]
    files = session.runtime.backend.files
    try:
        failed = files.update_statuses(session.organization_id, updates, key=key).failed
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        log.warning("first statuses are written one by one", reason=reason_of(error))
        failed = tuple(_put_one_by_one(session, rows, pending))
    for row, reason in failed[:1]:
        log.warning("a row took no first status", file_execution_id=row, reason=reason, rows=len(failed))
    return frozenset(row for row, _ in failed)


def _put_one_by_one(session: RunSession, rows: Iterable[str], pending: FileStatusUpdate) -> Iterator[tuple[str, str]]:
    """Write one status a call; the rows that took none, with the reason."""
    for row in rows:
        session.check()
        try:
            session.runtime.backend.files.update_status(
                session.organization_id, row, pending, key=session.key("pending", row)
            )
        except (BackendRefused, UnexpectedAnswer) as error:
            if not is_permanent(error):
                raise
            yield row, reason_of(error)


def match_created(items: Iterable[FileItem], created: Iterable[CreatedFile]) -> dict[int, str]:
    """Row ids by file number. Rows are told in the files' order, without those that failed; API rows have no path."""
    told, rows = iter(created), dict[int, str]()
    row = next(told, None)
    for item in items:
        if row is not None and row.file_name == item.name and row.file_path in (None, item.path):
            rows[item.number] = row.id
            row = next(told, None)
    return rows


def _created(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str] | None:
    """What one call made; None where the backend does not take such calls."""
    message, files = loaded.message, session.runtime.backend.files
    requests = [row_request(item, message.kind) for item in items]
    key = session.key("rows", sha256("".join(item.identity for item in items).encode()).hexdigest()[:16])
    try:
        answer = files.create_many(session.organization_id, message.execution_id, requests, key=key)
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        log.warning("rows are asked for one by one", reason=reason_of(error))
        return None
    except OutcomeUnknown:
        session.journal_put(_ONE_BY_ONE, "a batch without an answer")
        raise
    for _, reason in answer.failed[:1]:
        log.warning("rows were not made together", rows=len(answer.failed), reason=reason)
    return match_created(items, answer.created)
