"""Which files a run works on: the backend's listing, without those that other executions use. Chosen once."""

from collections.abc import Iterable

from attrs import evolve, frozen

from unstract_worker_core import serialization
from unstract_worker_core.active_files import ActiveFile, ActiveFiles
from unstract_worker_core.backend.models import SourceFile
from unstract_worker_core.errors import BackendRefused, BackendUnavailable, MessageError
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.messages.files import file_item
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs import LoadedRun, RunSession

__all__ = ["Listing", "active_file", "chosen_files", "read_listing"]

_AT_ONCE = 500

log = get_logger(__name__)


@frozen
class Listing:
    """A source's files: those that can be worked on, and why the others cannot."""

    items: tuple[FileItem, ...] = ()
    refusals: tuple[str, ...] = ()


def chosen_files(session: RunSession, loaded: LoadedRun) -> tuple[FileItem, ...]:
    """The run's files, numbered from 1. The first choice stands: rows and batches go by its numbers."""
    noted = session.journal_get("files")
    if noted is None:
        chosen = _choose(session, loaded)
        noted = session.journal_put("files", serialization.dumps([serialization.unstructure(item) for item in chosen]))
    return tuple(serialization.structure(entry, FileItem) for entry in serialization.loads(noted))


def read_listing(files: Iterable[SourceFile]) -> Listing:
    """Files as items, each path once, in order. A name that no log or URL could hold is refused, not the listing."""
    items: dict[str, FileItem] = {}
    refusals: list[str] = []
    for place, file in enumerate(files, start=1):
        metadata = file.fs_metadata if isinstance(file.fs_metadata, dict) else None
        described = serialization.unstructure(evolve(file, fs_metadata=metadata))
        try:
            item = file_item(described, number=place, field=f"files[{place - 1}]")
        except MessageError as error:
            refusals.append(f"file {place} of the listing cannot be processed: {error}")
        else:
            items.setdefault(item.path, item)
    return Listing(tuple(items.values()), tuple(refusals))


def active_file(item: FileItem) -> ActiveFile | None:
    """What marks a file as in use; None for a file that its storage gives no id."""
    return ActiveFile(item.provider_file_uuid, item.path) if item.provider_file_uuid else None


def _choose(session: RunSession, loaded: LoadedRun) -> tuple[FileItem, ...]:
    context = loaded.context
    found = _listed(session, loaded)
    listing = read_listing(found)
    for refusal in listing.refusals:
        log.warning("a file of the source is left out", reason=refusal)
        session.log_to_ui(context.log_channel, refusal, level="ERROR")
    in_use = _in_use(session, loaded, listing.items)
    free = [item for item in listing.items if active_file(item) not in in_use]
    if in_use:
        log.info("files in use elsewhere are left out", files=len(in_use))
        session.log_to_ui(context.log_channel, f"Files in use by another execution, left out: {len(in_use)}.")
    session.log_to_ui(context.log_channel, f"Files found at the source: {len(found)}, to process: {len(free)}.")
    return tuple(evolve(item, number=number) for number, item in enumerate(free, start=1))


def _listed(session: RunSession, loaded: LoadedRun) -> tuple[SourceFile, ...]:
    """The source's files. A listing that fails ends the run: it is never read as "no files", nor tried for ever."""
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
        # The backend answers 500 for a source that cannot be listed, and did so on every try.
        raise BackendRefused(error.message, endpoint=error.endpoint, status=error.status) from error


def _in_use(session: RunSession, loaded: LoadedRun, items: Iterable[FileItem]) -> frozenset[ActiveFile]:
    """Files that another execution marked or has rows for; all others are marked as ours."""
    message, runtime = loaded.message, session.runtime
    ttl = runtime.settings.files.active_file_ttl_seconds
    marks = ActiveFiles(runtime.cache_redis, message.workflow_id, message.execution_id, ttl)
    wanted = [file for file in map(active_file, items) if file is not None]
    marked = marks.in_use(wanted)
    unmarked = [file for file in wanted if file not in marked]
    working = _with_rows(session, loaded, unmarked)
    session.check()
    return marked | working | marks.mark(file for file in unmarked if file not in working)


def _with_rows(session: RunSession, loaded: LoadedRun, files: list[ActiveFile]) -> frozenset[ActiveFile]:
    active: set[ActiveFile] = set()
    for start in range(0, len(files), _AT_ONCE):
        pairs = [(file.provider_file_uuid, file.file_path) for file in files[start : start + _AT_ONCE]]
        found = session.runtime.backend.files.check_active(
            session.organization_id, loaded.message.workflow_id, pairs, loaded.message.execution_id
        )
        active.update(ActiveFile(uuid, path) for uuid, path in found)
    return frozenset(active)
