"""A backend row for each file: created once, never two calls at a time, each journalled.

The backend gets or creates by content (API) or by path and storage id (others), but two creates at the same time can
make two rows that it can never tell apart again. So nothing here is parallel, and whoever takes a run up after
somebody else first looks at the rows that are there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from attrs import evolve

from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.errors import BackendRefused, UnexpectedAnswer
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import reason_of
from unstract_worker_core.runs.rows_together import AT_ONCE, created_together, put_pending, row_request
from unstract_worker_core.runs.session import RunSession
from unstract_worker_core.runs.start import LoadedRun
from unstract_worker_core.statuses import RunKind

__all__ = ["NO_ROW", "create_rows", "match_rows", "row_request"]

# Journalled where the backend refused a file's row: the file then fails by itself, its neighbours do not.
NO_ROW = "none"
# A name that is too long, a half-made row: about this file. 401 or 404 would be about all of them.
_ABOUT_THIS_FILE = (201, 400, 500)

log = get_logger(__name__)


def create_rows(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> tuple[FileItem, ...]:
    """The items with their rows' ids. An item without one was refused by the backend, for a reason of its own."""
    there = _looked_up(session, loaded, items)
    session.journal_put("rows", "asked for")
    together = created_together(session, loaded, [each for each in items if each.number not in there])
    there |= together
    done = tuple(evolve(item, file_execution_id=_row_of(session, loaded, item, there)) for item in items)
    _set_pending(session, done, written=together.keys())
    return done


def match_rows(items: Iterable[FileItem], rows: Iterable[FileExecution], kind: RunKind) -> dict[int, str]:
    """Row ids by file number, matched as the backend does: API rows keep no path, files at a source no hash."""
    identity = _by_content if kind is RunKind.API else _by_place
    ids = {identity(row.file_hash, row.file_path, row.provider_file_uuid): row.id for row in rows if row.file_name}
    found = {item.number: ids.get(identity(item.hash, item.path, item.provider_file_uuid)) for item in items}
    return {number: row for number, row in found.items() if row is not None}


def _by_content(content: str | None, path: str | None, uuid: str | None) -> tuple[str, ...] | None:
    return (content,) if content else None


def _by_place(content: str | None, path: str | None, uuid: str | None) -> tuple[str, ...] | None:
    return (path, uuid or "") if path else None


def _looked_up(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str]:
    """Rows of an earlier attempt. One may exist though nobody journalled it: its worker died, or no answer came."""
    noted = {item.number: row for item in items if (row := session.journal_get(f"row:{item.number}")) is not None}
    if session.journal_get("rows") is None or len(noted) == len(items):
        return noted
    rows = session.runtime.backend.files.list(session.organization_id, loaded.message.execution_id)
    missing = [item for item in items if item.number not in noted]
    found = match_rows(missing, rows, loaded.message.kind)
    return noted | _journalled(session, found)


def _journalled(session: RunSession, rows: Mapping[int, str]) -> dict[int, str]:
    stands = session.journal_put_all({f"row:{number}": row for number, row in rows.items()})
    return {int(name.removeprefix("row:")): row for name, row in stands.items()}


def _row_of(session: RunSession, loaded: LoadedRun, item: FileItem, there: Mapping[int, str]) -> str | None:
    row = there.get(item.number)
    if row is None:
        session.check()
        row = session.journal_put(f"row:{item.number}", _create(session, loaded, item))
    return None if row == NO_ROW else row


def _create(session: RunSession, loaded: LoadedRun, item: FileItem) -> str:
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


def _set_pending(session: RunSession, items: Sequence[FileItem], *, written: Collection[int]) -> None:
    """New rows have no status, and rows without one do not show as in use to other executions."""
    if session.journal_get("pending") is not None:
        return
    missing = [item for item in items if item.number not in written]
    rows = [item.file_execution_id for item in missing if item.file_execution_id is not None]
    for start in range(0, len(rows), AT_ONCE):
        session.check()
        put_pending(session, rows[start : start + AT_ONCE])
    session.journal_put("pending", "written")
