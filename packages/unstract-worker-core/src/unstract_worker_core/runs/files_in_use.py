"""Which files other executions work on, and this execution's own marks on its files.

A mark protects a file until its row shows a status that `check-active` sees. It is released then, at the latest at the
run's end in whatever way it ends: the next run would leave the file out for as long as the mark lives.
"""

from collections.abc import Iterable
from hashlib import sha256

from unstract_worker_core import serialization
from unstract_worker_core.active_files import ActiveFile, ActiveFiles, Mark, mark_key
from unstract_worker_core.errors import BackendError, MessageError, NotFound, SteppedAside
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.failure_policy import is_permanent
from unstract_worker_core.runs.session import RunSession

_AT_ONCE = 500
_MARKS, _RELEASED = "marks:", "marks released"

log = get_logger(__name__)


def active_file(item: FileItem) -> ActiveFile | None:
    """What marks a file as in use; None for a file that its storage gives no id."""
    return ActiveFile(item.provider_file_uuid, item.path) if item.provider_file_uuid else None


def files_in_use(session: RunSession, marks: ActiveFiles, files: Iterable[ActiveFile]) -> dict[ActiveFile, str]:
    """Those of the files that another execution works on.

    Returns:
        The id of that execution by file; empty text where it is not known.

    Raises:
        SteppedAside: the cache Redis is away.
        BackendError: the backend could not be asked. It is never read as "none in use".
    """
    wanted = list(files)
    marked = _of_live_executions(session, marks, marks.marks_of_others(wanted))
    unmarked = [file for file in wanted if file not in marked]
    for start in range(0, len(unmarked), _AT_ONCE):
        pairs = [(file.provider_file_uuid, file.file_path) for file in unmarked[start : start + _AT_ONCE]]
        found = session.runtime.backend.files.check_active(
            session.organization_id, marks.workflow_id, pairs, marks.execution_id
        )
        marked |= {ActiveFile(*pair): execution_id for pair, execution_id in found.items()}
    return marked


def mark_files(session: RunSession, marks: ActiveFiles, files: Iterable[ActiveFile]) -> dict[ActiveFile, str]:
    """Mark files as used by this execution.

    Returns:
        Those that another execution marked first, with its id.
    """
    wanted = list(files)
    if not wanted:
        return {}
    # Before they are marked: whichever worker ends the run must know what to release.
    keys = serialization.dumps([mark_key(marks.workflow_id, file) for file in wanted])
    session.journal_put(_MARKS + sha256(keys.encode()).hexdigest()[:12], keys)
    return {file: mark.execution_id for file, mark in marks.mark(wanted).items()}


def release_marks(session: RunSession) -> None:
    """Delete this execution's marks, once their files have rows or the run ends. Never raises for the cache Redis."""
    if session.journal_get(_RELEASED) is not None:
        return
    notes = [text for name, text in session.journal.items() if name.startswith(_MARKS)]
    if not notes:
        return
    marks = ActiveFiles(session.runtime.cache_redis, "", session.claim.run_id, ttl_seconds=0)
    try:
        for note in notes:
            marks.release(serialization.loads(note))
    except SteppedAside as error:  # a later step tries again; other executions see that this one has ended
        log.warning("marks of files in use are not released yet", reason=error.reason)
    else:
        session.journal_put(_RELEASED, "yes")


def _of_live_executions(
    session: RunSession, marks: ActiveFiles, found: dict[ActiveFile, Mark]
) -> dict[ActiveFile, str]:
    """The marks without those of executions that have ended without releasing them."""
    ended = {
        execution_id: _has_ended(session, execution_id)
        for execution_id in {mark.execution_id for mark in found.values()}
    }
    stale = {file: mark for file, mark in found.items() if ended[mark.execution_id]}
    if stale:
        log.info("marks of ended executions ignored", files=len(stale))
        marks.discard(stale)
    return {file: mark.execution_id for file, mark in found.items() if file not in stale}


def _has_ended(session: RunSession, execution_id: str) -> bool:
    """Whether the backend says so; a mark that cannot be read is of an execution that may be alive."""
    if not execution_id:
        return False
    try:
        return session.runtime.backend.executions.get(session.organization_id, execution_id).status.terminal
    except NotFound:
        return True
    except (BackendError, MessageError) as error:
        if not is_permanent(error):
            raise
        return False
