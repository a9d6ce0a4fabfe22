"""Files in use: marks in the cache Redis by which executions, today's workers' included, keep off each other's files.

The keys and their JSON are the platform's (contract: flows 0). A mark of our own execution never counts; one that
cannot be read counts as somebody else's. Files without a provider id are neither marked nor looked up.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from attrs import frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.errors import LedgerError, MessageError, SteppedAside
from unstract_worker_core.failpoints import hit
from unstract_worker_core.redis import call_redis

__all__ = ["ActiveFile", "ActiveFiles", "mark_key"]

_LOOK_AGAIN_SECONDS = 10.0
_TAKE_BACK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@frozen
class ActiveFile:
    """A file as the marks know it: the storage's own id of it, and its path."""

    provider_file_uuid: str
    file_path: str


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

    def in_use(self, files: Iterable[ActiveFile]) -> frozenset[ActiveFile]:
        """Those of the files that are marked by another execution."""
        wanted = list(files)
        if not wanted:
            return frozenset()
        marks = self._call(partial(self.redis.mget, [mark_key(self.workflow_id, file) for file in wanted]))
        found = zip(wanted, marks, strict=True)
        return frozenset(file for file, mark in found if mark is not None and not self._ours(mark))

    def mark(self, files: Iterable[ActiveFile]) -> frozenset[ActiveFile]:
        """Mark files as ours; returns those that another execution marked first."""
        wanted = list(files)
        hit("active_files.mark.before")
        answers = self._call(partial(self._set, wanted, only_new=True))
        there = [file for file, written in zip(wanted, answers, strict=True) if not written]
        taken = self.in_use(there)
        self._call(partial(self._set, [file for file in there if file not in taken], only_new=False))
        hit("active_files.mark.after")
        return taken

    def release(self, files: Collection[ActiveFile]) -> None:
        """Take our marks away, once the files' rows show that they are being worked on."""
        keys = [mark_key(self.workflow_id, file) for file in files]
        if not keys:
            return
        for key, mark in zip(keys, self._call(partial(self.redis.mget, keys)), strict=True):
            # Compared again on deleting: ours may lapse meanwhile and another's take its place.
            if mark is not None and self._ours(mark):
                self._call(partial(self.redis.eval, _TAKE_BACK, 1, key, mark))

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

    def _ours(self, mark: str | bytes) -> bool:
        try:
            return bool(serialization.loads(mark)["data"]["execution_id"] == self.execution_id)
        except (MessageError, TypeError, KeyError):
            return False

    def _call(self, call: Callable[[], Any]) -> Any:
        try:
            return call_redis(self.redis, "active_files", call)
        except LedgerError as error:
            reason = f"the cache Redis does not say which files are in use ({error})"
            raise SteppedAside(reason, delay_seconds=_LOOK_AGAIN_SECONDS) from None
