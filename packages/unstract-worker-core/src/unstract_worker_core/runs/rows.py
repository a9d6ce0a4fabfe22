"""A backend row for each file: created once, never two calls at a time, each journalled.

The backend gets or creates by content (API) or by path and storage id (others), but two creates at the same time can
make two rows that it can never tell apart again. So nothing here is parallel, and the next owner of a run first
looks at the rows that exist.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType

from attrs import evolve

from unstract_worker_core.backend.files import FileExecution, FileHash, FileStatusUpdate
from unstract_worker_core.errors import BackendRefused, OutcomeUnknown, UnexpectedAnswer
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import is_permanent, reason_of
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.runs.start import LoadedRun
from unstract_worker_core.statuses import ExecutionStatus, RunKind

AT_ONCE = 100
# Journalled before the first row is asked for: from then on an attempt looks at the rows that exist.
ASKED_FOR: Mapping[str, str] = MappingProxyType({"rows": "asked for"})
_ONE_BY_ONE = "rows one by one"
log = get_logger(__name__)
# Journalled where the backend refused a file's row: the file then fails by itself, its neighbours do not.
NO_ROW = "none"
# A name that is too long, a half-made row, metadata too large for a proxy: about this file. 401 or 404 would be about
# all of them.
_ABOUT_THIS_FILE = (201, 400, 413, 500)


def create_rows(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> tuple[FileItem, ...]:
    """Create a row for each file, once in all attempts, and set it PENDING.

    Returns:
        The items with their rows' ids. An item without one was refused by the backend, and ends in ERROR.

    Raises:
        OutcomeUnknown: no response to a create; the next attempt looks at the rows that exist.
        BackendError: rows cannot be created now.
        LeaseLost: another worker has the run.
    """
    there = _earlier_rows(session, loaded, items)
    if session.journal_get("rows") is None:
        session.journal_put_all(ASKED_FOR)
    together = _create_together(session, loaded, [each for each in items if each.number not in there])
    there |= together
    done = tuple(evolve(item, file_execution_id=_row_id(session, loaded, item, there)) for item in items)
    _set_pending(session, done, written=together.keys())
    return done


def _earlier_rows(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str]:
    """Rows of an earlier attempt. One may exist without being journalled: its worker died, or no response came."""
    noted = {item.number: row for item in items if (row := session.journal_get(f"row:{item.number}")) is not None}
    if "rows" not in session.claim.journal or len(noted) == len(items):
        return noted
    rows = session.runtime.backend.files.list(session.organization_id, loaded.message.execution_id)
    missing = [item for item in items if item.number not in noted]
    found = match_rows(missing, rows, loaded.message.kind)
    return noted | _journal_rows(session, found)


def _create_together(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str]:
    """Rows by file number, PENDING and journalled; files that are not in it are left to be asked for singly.

    Raises OutcomeUnknown. The next owner of the run looks at the rows that exist and then creates them singly, so that
    a batch which the backend can never carry out is not repeated for ever.
    """
    rows: dict[int, str] = {}
    if len(items) < 2 or session.journal_get(_ONE_BY_ONE) is not None:
        return rows
    for start in range(0, len(items), AT_ONCE):
        session.check()
        made = _create_chunk(session, loaded, items[start : start + AT_ONCE])
        if made is None:
            break
        lost = _write_pending(session, list(made.values()))
        rows |= _journal_rows(session, {number: row for number, row in made.items() if row not in lost})
    return rows


def _create_chunk(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str] | None:
    """What one call made; None where the backend does not take such calls."""
    message, files = loaded.message, session.runtime.backend.files
    requests = [row_request(item, message.kind) for item in items]
    key = session.key("rows", sha256("".join(item.identity for item in items).encode()).hexdigest()[:16])
    try:
        answer = files.create_many(session.organization_id, message.execution_id, requests, key=key)
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        log.warning("rows are created one by one", reason=reason_of(error))
        return None
    except OutcomeUnknown:
        session.journal_put(_ONE_BY_ONE, "a batch without an answer")
        raise
    for _, reason in answer.failed[:1]:
        log.warning("rows were not created together", rows=len(answer.failed), reason=reason)
    return match_created(items, answer.created)


def _row_id(session: RunSession, loaded: LoadedRun, item: FileItem, there: Mapping[int, str]) -> str | None:
    row = there.get(item.number)
    if row is None:
        session.check()
        row = session.journal_put(f"row:{item.number}", _create_one(session, loaded, item))
    return None if row == NO_ROW else row


def _create_one(session: RunSession, loaded: LoadedRun, item: FileItem) -> str:
    message, files = loaded.message, session.runtime.backend.files
    request = row_request(item, message.kind)
    key = session.key("row", item.identity)
    try:
        row = files.create(session.organization_id, message.execution_id, message.workflow_id, request, key=key)
    except (BackendRefused, UnexpectedAnswer) as error:
        if error.status not in _ABOUT_THIS_FILE:
            raise
        log.warning("a file's row was refused", file_number=item.number, reason=reason_of(error))
        refusal = f"{item.name} cannot be processed: {reason_of(error)}"
        session.log_to_ui(loaded.context.log_channel, refusal, level="ERROR")
        return NO_ROW
    return row.id


def _journal_rows(session: RunSession, rows: Mapping[int, str]) -> dict[int, str]:
    """Journal rows by file number; returns those journalled first, which the session's journal does not keep."""
    notes = {f"row:{number}": row for number, row in rows.items()}
    kept = session.runtime.ledger.runs.journal(session.claim, notes) if notes else {}
    return {int(name.removeprefix("row:")): row for name, row in kept.items()}


def _set_pending(session: RunSession, items: Sequence[FileItem], *, written: Collection[int]) -> None:
    """New rows have no status, and rows without one do not show as in use to other executions."""
    missing = [item for item in items if item.number not in written]
    rows = [item.file_execution_id for item in missing if item.file_execution_id is not None]
    for start in range(0, len(rows), AT_ONCE):
        session.check()
        _write_pending(session, rows[start : start + AT_ONCE])


def _write_pending(session: RunSession, rows: Sequence[str]) -> frozenset[str]:
    """Write PENDING to rows, `AT_ONCE` at most; returns those that could not be written."""
    pending = FileStatusUpdate(status=ExecutionStatus.PENDING)
    key = session.key("pending", sha256("".join(rows).encode()).hexdigest()[:16])
    updates = [(row, pending) for row in rows]
    files = session.runtime.backend.files
    try:
        failed = files.update_statuses(session.organization_id, updates, key=key)
    except (BackendRefused, UnexpectedAnswer) as error:
        if not is_permanent(error):
            raise
        log.warning("first statuses are written one by one", reason=reason_of(error))
        failed = tuple(_write_singly(session, rows, pending))
    for row, reason in failed[:1]:
        log.warning("a row's first status was not written", file_execution_id=row, reason=reason, rows=len(failed))
    return frozenset(row for row, _ in failed)


def _write_singly(session: RunSession, rows: Iterable[str], pending: FileStatusUpdate) -> Iterator[tuple[str, str]]:
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


def row_request(item: FileItem, kind: RunKind) -> FileHash:
    """What the backend gets about a file."""
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


def match_rows(items: Iterable[FileItem], rows: Iterable[FileExecution], kind: RunKind) -> dict[int, str]:
    """Row ids by file number, matched as the backend does: API rows keep no path, files at a source no hash."""

    def identity(content: str | None, path: str | None, uuid: str | None) -> tuple[str, ...] | None:
        if kind is RunKind.API:
            return (content,) if content else None
        return (path, uuid or "") if path else None

    ids = {identity(row.file_hash, row.file_path, row.provider_file_uuid): row.id for row in rows if row.file_name}
    found = {item.number: ids.get(identity(item.hash, item.path, item.provider_file_uuid)) for item in items}
    return {number: row for number, row in found.items() if row is not None}


def match_created(items: Iterable[FileItem], created: Iterable[FileExecution]) -> dict[int, str]:
    """Row ids by file number. Rows come in the files' order, without those that failed; API rows have no path."""
    rest, rows = iter(created), dict[int, str]()
    row = next(rest, None)
    for item in items:
        if row is not None and row.file_name == item.name and row.file_path in (None, item.path):
            rows[item.number] = row.id
            row = next(rest, None)
    return rows
