"""Starts an ETL or TASK execution (contract: flows b): its files, rows, batches. Every step can be repeated.

The files are chosen once: the backend's listing without files that were processed before or are in use. The user's log
names every file that is left out, with the reason.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import evolve

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.backend.files import FileExecution
from unstract_worker_core.backend.history import FileHistory, HistoryQuery, UnreadableHistory
from unstract_worker_core.backend.workflows import SourceFile, UnreadableFile
from unstract_worker_core.errors import BackendRefused, BackendUnavailable
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.messages.start import file_item, refused_item
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.files_in_use import ActiveFiles, active_file, files_in_use, mark_files, release_marks
from unstract_worker_core.runs.rows import ASKED_FOR, create_rows
from unstract_worker_core.runs.session import Decision, RunSession
from unstract_worker_core.runs.start import LoadedRun, arm_files, load_run, open_run, write_status_once
from unstract_worker_core.statuses import ExecutionStatus

_ENDED = (ExecutionStatus.COMPLETED, ExecutionStatus.ERROR)
_PAGE_FILES = 500
_NAMES_A_LINE = 20
_STARTED_OR_DONE = (ExecutionStatus.PENDING, ExecutionStatus.EXECUTING, ExecutionStatus.COMPLETED)
log = get_logger(__name__)


def start_execution(session: RunSession) -> Decision:
    """From an accepted start message to batches that are ready to be worked on."""
    loaded = open_run(session)
    if not isinstance(loaded, LoadedRun):
        return loaded
    ended = _ended_in_lost_run(session, loaded)
    executing = StatusUpdate(status=ExecutionStatus.EXECUTING, attempts=session.claim.attempts + 1)
    loaded = write_status_once(session, loaded, executing, operation="executing")
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = choose_files(session, loaded)
    loaded = load_run(session, loaded.message)  # a stop during the listing must not be replaced by EXECUTING
    if not isinstance(loaded, LoadedRun):
        return loaded
    before = _count_not_relisted(ended, items)
    counted = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=len(items) + sum(before))
    loaded = write_status_once(session, loaded, counted, operation="total_files", notes=ASKED_FOR)
    if not isinstance(loaded, LoadedRun):
        return loaded
    items = create_rows(session, loaded, items)
    release_marks(session)  # the rows protect the files from now on
    return arm_files(session, loaded, items, before=before)


def _ended_in_lost_run(session: RunSession, loaded: LoadedRun) -> Sequence[FileExecution]:
    """Rows of files that ended in a run of this execution that the ledger lost.

    Such an execution is EXECUTING although no attempt of this run wrote that. Its source lists only the remaining
    files, but those that ended before count too.
    """
    noted = session.journal_get("before")
    if noted is None:
        if loaded.execution.status is not ExecutionStatus.EXECUTING or session.journal_get("executing") is not None:
            return ()
        rows = session.runtime.backend.files.list(session.organization_id, loaded.message.execution_id)
        ended = [serialization.unstructure(row) for row in rows if row.status in _ENDED]
        noted = session.journal_put("before", serialization.dumps(ended))
    return tuple(serialization.structure(entry, FileExecution) for entry in serialization.loads(noted))


def _count_not_relisted(rows: Sequence[FileExecution], items: Iterable[FileItem]) -> tuple[int, int]:
    """How many of the rows completed and failed, without those of files that are processed again."""
    again = {(item.path, item.provider_file_uuid or "") for item in items} if rows else set()
    left = [row for row in rows if (row.file_path, row.provider_file_uuid or "") not in again]
    completed = sum(row.status is ExecutionStatus.COMPLETED for row in left)
    return completed, len(left) - completed


def choose_files(session: RunSession, loaded: LoadedRun) -> tuple[FileItem, ...]:
    """The run's files, numbered from 1. The first choice is kept, because rows and batches refer to its numbers."""
    chosen = session.journal_get("files")
    if chosen is None:
        items = _choose(session, loaded)
        # Page by page, to save memory.
        text = f"[{','.join(','.join(map(serialization.encode, page)) for page in _pages(items))}]"
        # Not kept in the session's journal, which does not need it again: 100,000 files take 25 MB.
        chosen = session.runtime.ledger.runs.journal(session.claim, {"files": text})["files"]
        if chosen == text:
            return items
    return tuple(serialization.structure(entry, FileItem) for entry in serialization.loads(chosen))


def _pages(items: Sequence[FileItem]) -> Iterator[Sequence[FileItem]]:
    return (items[start : start + _PAGE_FILES] for start in range(0, len(items), _PAGE_FILES))


def read_listing(files: Iterable[SourceFile | UnreadableFile]) -> tuple[FileItem, ...]:
    """Items from listed files: each path once, in order. `refused` says why a file cannot be used."""
    items: dict[str, FileItem] = {}
    for number, file in enumerate(files, start=1):
        item = _item(file, number)
        items.setdefault(item.path, item)
    return tuple(items.values())


def skip_reason(item: FileItem, history: FileHistory) -> str | None:
    """Why a file is not processed because of its history; None if it is processed."""
    if history.has_exceeded_limit:
        limit = history.max_execution_count
        of_limit = "" if limit is None else f", the limit is {limit}"
        return (
            f"executed {history.execution_count} times{of_limit} (MAX_FILE_EXECUTION_COUNT); "
            "clear its file history to have it processed again"
        )
    if history.file_path == item.path and history.status in _STARTED_OR_DONE:
        done = history.status is ExecutionStatus.COMPLETED
        return "processed before" if done else f"its file history says {history.status}"
    return None


def _item(file: SourceFile | UnreadableFile, number: int) -> FileItem:
    if isinstance(file, UnreadableFile):
        return refused_item(None, number=number, name=file.name, reason=file.reason)
    metadata = file.fs_metadata if isinstance(file.fs_metadata, dict) else None
    described = serialization.unstructure(evolve(file, fs_metadata=metadata))
    return file_item(described, number=number, name=file.file_name)


def _choose(session: RunSession, loaded: LoadedRun) -> tuple[FileItem, ...]:
    found = read_listing(_list_source(session, loaded))
    histories = _histories(session, loaded, found)
    found = tuple(_refuse_unreadable(item, histories.get(item.number)) for item in found)
    skipped = _skipped_by_history(found, histories)
    wanted = [item for item in found if item.number not in skipped]
    in_use = _mark_free(session, loaded, wanted)
    free = [item for item in wanted if item.number not in in_use]
    channel = loaded.context.log_channel
    session.log_to_ui(channel, f"Files found at the source: {len(found)}, to process: {len(free)}.")
    _log_left_out(session, loaded, found, skipped | in_use)
    return tuple(
        item if item.number == number else evolve(item, number=number) for number, item in enumerate(free, start=1)
    )


def _list_source(session: RunSession, loaded: LoadedRun) -> tuple[SourceFile | UnreadableFile, ...]:
    """The source's files. A failed listing ends the run; it never counts as "no files" and is not repeated for ever."""
    message = loaded.message
    try:
        return session.runtime.backend.workflows.source_files(
            session.organization_id,
            message.workflow_id,
            message.execution_id,
            pipeline_id=loaded.context.pipeline_id,
            use_file_history=message.use_file_history,
        )
    except BackendUnavailable as error:
        if error.status != 500:
            raise
        # The backend answers 500 for a source that cannot be listed; the client has repeated the call already.
        raise BackendRefused(error.message, endpoint=error.endpoint, status=error.status) from error


def _histories(
    session: RunSession, loaded: LoadedRun, items: Iterable[FileItem]
) -> dict[int, FileHistory | UnreadableHistory]:
    """The files' histories by number. The listing leaves out COMPLETED files only and has no limit."""
    if not loaded.message.use_file_history:
        return {}
    known = [item for item in items if (item.provider_file_uuid or item.hash) and not item.refused]
    histories: dict[int, FileHistory | UnreadableHistory] = {}
    for items_of_page in _pages(known):
        page = {str(item.number): item for item in items_of_page}
        queries = [
            HistoryQuery(
                identifier=name,
                file_path=item.path,
                provider_file_uuid=item.provider_file_uuid,
                cache_key=None if item.provider_file_uuid else item.hash,
            )
            for name, item in page.items()
        ]
        found = session.runtime.backend.history.find_many(session.organization_id, loaded.message.workflow_id, queries)
        histories |= {page[name].number: history for name, history in found.items()}
    return histories


def _refuse_unreadable(item: FileItem, history: FileHistory | UnreadableHistory | None) -> FileItem:
    """A file whose limit cannot be known is not executed: it ends in ERROR, for its neighbours to go on."""
    if not isinstance(history, UnreadableHistory):
        return item
    described = {"file_path": item.path, "source_connection_type": item.source_connection_type}
    refused = refused_item(described, number=item.number, name=item.name, reason="")
    return evolve(refused, refused=f"its file history cannot be read: {history.reason}")


def _skipped_by_history(
    items: Iterable[FileItem], histories: Mapping[int, FileHistory | UnreadableHistory]
) -> dict[int, str]:
    skipped: dict[int, str] = {}
    for item in items:
        history = histories.get(item.number)
        reason = skip_reason(item, history) if isinstance(history, FileHistory) else None
        if reason is not None:
            skipped[item.number] = reason
    return skipped


def _mark_free(session: RunSession, loaded: LoadedRun, items: Sequence[FileItem]) -> dict[int, str]:
    """Mark free files as used by this execution. Returns why the others are left out, by number."""
    message, runtime = loaded.message, session.runtime
    ttl = runtime.settings.files.active_file_ttl_seconds
    marks = ActiveFiles(runtime.cache_redis, message.workflow_id, message.execution_id, ttl)
    reasons: dict[int, str] = {}
    for page in _pages(items):
        known = {file: item for item in page if (file := active_file(item)) is not None}
        in_use = files_in_use(session, marks, known)
        session.check()
        in_use |= mark_files(session, marks, (file for file in known if file not in in_use))
        reasons |= {known[file].number: f"in use by execution {by or 'unknown'}" for file, by in in_use.items()}
    return reasons


def _log_left_out(
    session: RunSession, loaded: LoadedRun, items: Iterable[FileItem], left_out: Mapping[int, str]
) -> None:
    """Write the files that are left out into the user's log, by reason, twenty names a line."""
    names: dict[str, list[str]] = {}
    for item in items:
        if item.number in left_out:
            names.setdefault(left_out[item.number], []).append(item.path)
    for reason, paths in names.items():
        log.info("files are left out", reason=reason, files=len(paths))
        for start in range(0, len(paths), _NAMES_A_LINE):
            text = f"Left out ({reason}): {', '.join(paths[start : start + _NAMES_A_LINE])}"
            session.log_to_ui(loaded.context.log_channel, text, level="WARN")
