"""A backend row for each file: created once, one after the other, journalled one by one.

The backend gets or creates by content (API) or by path and storage id (others), but two creates at the same time can
make two rows that it can never tell apart again. So nothing here is parallel, and whoever takes a run up after
somebody else first looks at the rows that are there.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from attrs import evolve

from unstract_worker_core.client.models import FileExecution, FileHash, FileStatusUpdate
from unstract_worker_core.errors import BackendRefused, UnexpectedAnswer
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.logs import get_logger
from unstract_worker_core.orchestration.meaning import in_a_line
from unstract_worker_core.orchestration.opening import Opened
from unstract_worker_core.orchestration.turn import Turn
from unstract_worker_core.statuses import ExecutionStatus, RunKind

__all__ = ["NO_ROW", "create_rows", "match_rows", "row_request"]

# Journalled where the backend refused a file's row: the file then fails by itself, its neighbours do not.
NO_ROW = "none"
# A name that is too long, a half-made row: about this file. 401 or 404 would be about all of them.
_ABOUT_THIS_FILE = (201, 400, 500)
_AT_ONCE = 100

log = get_logger(__name__)


def create_rows(turn: Turn, opened: Opened, items: Sequence[FileItem]) -> tuple[FileItem, ...]:
    """The items with their rows' ids. An item without one was refused by the backend, for a reason of its own."""
    there = _looked_up(turn, opened, items)
    turn.note("rows", "asked for")
    done = tuple(evolve(item, file_execution_id=_row_of(turn, opened, item, there)) for item in items)
    _set_pending(turn, done)
    return done


def match_rows(items: Iterable[FileItem], rows: Iterable[FileExecution], kind: RunKind) -> dict[int, str]:
    """Row ids by file number, matched as the backend does: API rows keep no path, files at a source no hash."""
    identity = _by_content if kind is RunKind.API else _by_place
    ids = {identity(row.file_hash, row.file_path, row.provider_file_uuid): row.id for row in rows if row.file_name}
    found = {item.number: ids.get(identity(item.hash, item.path, item.provider_file_uuid)) for item in items}
    return {number: row for number, row in found.items() if row is not None}


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


def _by_content(content: str | None, path: str | None, uuid: str | None) -> tuple[str, ...] | None:
    return (content,) if content else None


def _by_place(content: str | None, path: str | None, uuid: str | None) -> tuple[str, ...] | None:
    return (path, uuid or "") if path else None


def _looked_up(turn: Turn, opened: Opened, items: Sequence[FileItem]) -> dict[int, str]:
    """Rows of an earlier attempt. One may exist though nobody journalled it: its worker died, or no answer came."""
    if turn.noted("rows") is None or all(turn.noted(f"row:{item.number}") for item in items):
        return {}
    rows = turn.runtime.backend.files.list(turn.organization_id, opened.message.execution_id)
    return match_rows(items, rows, opened.message.kind)


def _row_of(turn: Turn, opened: Opened, item: FileItem, there: dict[int, str]) -> str | None:
    field = f"row:{item.number}"
    row = turn.noted(field)
    if row is None:
        turn.check()
        row = turn.note(field, there.get(item.number) or _create(turn, opened, item))
    return None if row == NO_ROW else row


def _create(turn: Turn, opened: Opened, item: FileItem) -> str:
    message, files = opened.message, turn.runtime.backend.files
    request = row_request(item, message.kind)
    key = turn.key("row", item.identity)
    try:
        row = files.create(turn.organization_id, message.execution_id, message.workflow_id, request, key=key)
    except (BackendRefused, UnexpectedAnswer) as error:
        if error.status not in _ABOUT_THIS_FILE:
            raise
        log.warning("a file's row was refused", file_number=item.number, reason=in_a_line(error))
        refusal = f"{item.name} cannot be processed: {in_a_line(error)}"
        turn.tell(opened.context.log_channel, refusal, level="ERROR")
        return NO_ROW
    return row.id


def _set_pending(turn: Turn, items: Sequence[FileItem]) -> None:
    """New rows have no status, and rows without one do not show as in use to other executions."""
    if turn.noted("pending") is not None:
        return
    rows = [item.file_execution_id for item in items if item.file_execution_id is not None]
    pending = FileStatusUpdate(status=ExecutionStatus.PENDING)
    for start in range(0, len(rows), _AT_ONCE):
        turn.check()
        some = rows[start : start + _AT_ONCE]
        updates = [(row, pending) for row in some]
        key = turn.key("pending", sha256("".join(some).encode()).hexdigest()[:16])
        answer = turn.runtime.backend.files.update_statuses(turn.organization_id, updates, key=key)
        if answer.failed:
            log.warning("rows without a first status", rows=len(answer.failed), first=answer.failed[0][1])
    turn.note("pending", "written")
