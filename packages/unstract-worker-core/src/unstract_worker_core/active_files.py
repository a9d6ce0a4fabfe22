"""Marks of files in use, in the cache Redis: by them no two executions work on the same file.

The platform's own workers set and read them too: keys and JSON are the platform's (contract: flows 0). A mark of our
own execution never counts; one that cannot be read counts as another execution's. Files without a provider id are
neither marked nor looked up.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.errors import LedgerError, MessageError, SteppedAside
from unstract_worker_core.failpoints import hit
from unstract_worker_core.redis import call_redis

_LOOK_AGAIN_SECONDS = 10.0
_AT_ONCE = 500
# Deletes each of the keys that still has the value that belongs to it.
_DELETE_UNCHANGED = """
for place, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[place] then redis.call('DEL', key) end
end
"""


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
    digest = hashlib.sha256(file.file_path.encode()).hexdigest()[:12]
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
