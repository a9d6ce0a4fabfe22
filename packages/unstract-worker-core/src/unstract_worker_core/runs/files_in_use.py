"""Which files other executions work on, and this execution's own marks on its files.

The marks are in the cache Redis. The platform's own workers set and read them too: keys and JSON are the platform's
(contract: flows 0). A mark of our own execution never counts; one that cannot be read counts as another execution's.
Files without a provider id are neither marked nor looked up.

A mark protects a file until its row shows a status that `check-active` sees. It is released then, at the latest when
the run ends: until then other runs leave the file out.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

from attrs import frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.errors import BackendError, LedgerError, MessageError, NotFound, SteppedAside
from unstract_worker_core.failpoints import hit
from unstract_worker_core.ledger import FileItem
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.redis import call_redis
from unstract_worker_core.runs.failure_policy import is_permanent
from unstract_worker_core.runs.session import RunSession

_LOOK_AGAIN_SECONDS = 10.0
_AT_ONCE = 500
# Deletes each of the keys that still has the value that belongs to it.
_DELETE_UNCHANGED = """
for place, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[place] then redis.call('DEL', key) end
end
"""
_MARKS, _RELEASED = "marks:", "marks released"
log = get_logger(__name__)


@frozen
class ActiveFile:
    """A file as the marks know it: the storage's own id of it, and its path."""

    provider_file_uuid: str
    file_path: str


@frozen
class Mark:
    """A mark of another execution: its id (empty where the mark cannot be read), and the mark as it is stored."""

    execution_id: str
    stored: str | bytes


def mark_key(workflow_id: str, file: ActiveFile) -> str:
    """The key of a file's mark."""
    digest = sha256(file.file_path.encode()).hexdigest()[:12]
    return f"file_active:{workflow_id}:{file.provider_file_uuid}:{digest}"


@frozen
class ActiveFiles:
    """The marks of one execution. Every call raises SteppedAside when the cache Redis is away: never "none active"."""

    redis: Redis
    workflow_id: str
    execution_id: str
    ttl_seconds: int

    def marks_of_others(self, files: Iterable[ActiveFile]) -> dict[ActiveFile, Mark]:
        """The marks of other executions on these files."""
        wanted = list(files)
        if not wanted:
            return {}
        stored = self._call(partial(self.redis.mget, [mark_key(self.workflow_id, file) for file in wanted]))
        marks = {file: _read(each) for file, each in zip(wanted, stored, strict=True) if each is not None}
        return {file: mark for file, mark in marks.items() if mark.execution_id != self.execution_id}

    def mark(self, files: Iterable[ActiveFile]) -> dict[ActiveFile, Mark]:
        """Mark files as used by this execution.

        Returns:
            The marks of those files that another execution marked first.
        """
        wanted = list(files)
        hit("active_files.mark.before")
        answers = self._call(partial(self._set, wanted, only_new=True))
        there = [file for file, written in zip(wanted, answers, strict=True) if not written]
        taken = self.marks_of_others(there)
        self._call(partial(self._set, [file for file in there if file not in taken], only_new=False))
        hit("active_files.mark.after")
        return taken

    def discard(self, marks: Mapping[ActiveFile, Mark]) -> None:
        """Delete marks of executions that have ended; one that was replaced meanwhile stays."""
        self._delete_unchanged({mark_key(self.workflow_id, file): mark.stored for file, mark in marks.items()})

    def release(self, keys: Sequence[str]) -> None:
        """Delete our own marks, given by their keys."""
        if not keys:
            return
        found = zip(keys, self._call(partial(self.redis.mget, keys)), strict=True)
        own = {key: text for key, text in found if text is not None and _read(text).execution_id == self.execution_id}
        # Compared again on deleting: ours may lapse meanwhile and another's take its place.
        self._delete_unchanged(own)

    def _delete_unchanged(self, stored: Mapping[str, str | bytes]) -> None:
        pairs = list(stored.items())
        for start in range(0, len(pairs), _AT_ONCE):
            keys, values = zip(*pairs[start : start + _AT_ONCE], strict=True)
            self._call(partial(self.redis.eval, _DELETE_UNCHANGED, len(keys), *keys, *values))

    def _set(self, files: Collection[ActiveFile], *, only_new: bool) -> list[Any]:
        with self.redis.pipeline(transaction=False) as pipe:
            for file in files:
                pipe.set(mark_key(self.workflow_id, file), self._mark(file), ex=self.ttl_seconds, nx=only_new)
            return list(pipe.execute())

    def _mark(self, file: ActiveFile) -> str:
        now = time.time()
        data = {
            "execution_id": self.execution_id,
            "workflow_id": self.workflow_id,
            "provider_file_uuid": file.provider_file_uuid,
            "file_path": file.file_path,
            "status": "PENDING",
            "created_at": now,
        }
        return serialization.dumps({"data": data, "cached_at": now, "ttl": self.ttl_seconds})

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call_redis(self.redis, "active_files", call)
        except LedgerError as error:
            reason = f"the cache Redis does not say which files are in use ({error})"
            raise SteppedAside(reason, delay_seconds=_LOOK_AGAIN_SECONDS) from None


def _read(stored: str | bytes) -> Mark:
    try:
        execution_id = serialization.loads(stored)["data"]["execution_id"]
    except (MessageError, TypeError, KeyError):
        execution_id = ""
    return Mark(execution_id if isinstance(execution_id, str) else "", stored)


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
