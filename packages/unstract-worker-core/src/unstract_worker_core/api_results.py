"""The list from which the backend answers an API caller: `api_results:{workflow}:{execution}` (contract: flows 0).

It lives in the platform's Redis (the backend's own database), one JSON item a file. The finaliser writes it in one
move before the terminal status; in chord mode the file worker pushes each item once, as today's workers do.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

from attrs import asdict, frozen
from redis import Redis
from redis.exceptions import ResponseError, WatchError

from unstract_worker_core import serialization
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.failpoints import hit
from unstract_worker_core.ledger.records import FileOutcome, OutcomeKind
from unstract_worker_core.redis import call_redis

_CHUNK = 100
# Expiry of a list that is still being built, in case its writer dies.
_STAGING_SECONDS = 600


@frozen
class ApiResultItem:
    """Exactly the six keys that the backend reads; any error makes it Failed."""

    file: str
    file_execution_id: str | None
    status: str
    result: Any
    error: str | None
    metadata: dict[str, Any]

    def as_message(self) -> dict[str, Any]:
        """All keys, nulls included, as plain JSON types."""
        return asdict(self, recurse=False)


def result_items(outcome: FileOutcome) -> Iterator[ApiResultItem]:
    """One item for each uploaded name that shares this outcome."""
    completed = outcome.kind is OutcomeKind.COMPLETED
    for name in (outcome.name, *outcome.copies):
        yield ApiResultItem(
            file=name,
            file_execution_id=outcome.file_execution_id,
            status="Success" if completed else "Failed",
            result=outcome.result if completed else None,
            error=None if completed else (outcome.error or "the file failed without a reason"),
            metadata=outcome.metadata | {"source_name": name},
        )


class ApiResults:
    """Writes the result list. Raises LedgerUnavailable when the platform's Redis cannot take it."""

    def __init__(self, redis: Redis, *, ttl_seconds: int) -> None:
        self._redis = redis
        self._ttl = ttl_seconds

    def replace(self, workflow_id: str, execution_id: str, items: Iterable[ApiResultItem]) -> int:
        """Put the whole list in place at once. Repeating it gives the same list.

        Args:
            items: if the iterable raises, the list stays as it was.

        Returns:
            The number of items.
        """
        # Staged under a name of this attempt alone: a writer that was paused, or a push that Redis applies late, must
        # not mix into the list of another.
        target, staging = _list_key(workflow_id, execution_id), f"uw:staging:{execution_id}:{uuid4().hex}"
        hit("api_results.replace.before")
        written = 0
        for chunk in _chunks(items):
            length = call_redis(self._redis, "api_results", partial(self._stage, staging, chunk))
            written += len(chunk)
            if length != written:
                raise LedgerUnavailable("api_results: a part was written twice; the list must be built again")
        hit("api_results.replace.staged")
        if written:
            self._move(staging, target)
        hit("api_results.replace.after")
        return written

    def push_once(self, workflow_id: str, execution_id: str, marker: str, items: Sequence[ApiResultItem]) -> bool:
        """Append a file's items unless they were appended before; items and marker in one MULTI.

        Args:
            marker: names the file.

        Returns:
            False: they were appended before.
        """
        target, flag = _list_key(workflow_id, execution_id), f"uw:pushed:{execution_id}:{marker}"
        texts = [serialization.dumps(item.as_message()) for item in items]

        def push() -> bool:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.watch(flag)
                if pipe.exists(flag):
                    return False
                pipe.multi()
                pipe.set(flag, "1", ex=self._ttl)
                pipe.rpush(target, *texts)
                pipe.expire(target, self._ttl)
                try:
                    pipe.execute()
                except WatchError:
                    # Another push of this file, or a cut connection: only the marker can tell.
                    raise LedgerUnavailable("api_results: the push was interrupted") from None
            return True

        hit("api_results.push.before")
        pushed = call_redis(self._redis, "api_results", push)
        hit("api_results.push.after")
        return pushed

    def _stage(self, staging: str, chunk: Sequence[str]) -> int:
        """Append to the staged list and return its length, which shows whether an append was applied twice."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(staging, *chunk)
            pipe.expire(staging, _STAGING_SECONDS)
            return int(pipe.execute()[0])

    def _move(self, staging: str, target: str) -> None:
        sent = False

        def move() -> None:
            nonlocal sent
            repeated, sent = sent, True
            try:
                with self._redis.pipeline(transaction=True) as pipe:
                    pipe.rename(staging, target)
                    pipe.expire(target, self._ttl)
                    pipe.execute()
            except ResponseError as error:
                if not repeated or "no such key" not in str(error):  # else it was moved, and only the answer was lost
                    raise

        call_redis(self._redis, "api_results", move)


def _list_key(workflow_id: str, execution_id: str) -> str:
    return f"api_results:{workflow_id}:{execution_id}"


def _chunks(items: Iterable[ApiResultItem]) -> Iterator[list[str]]:
    texts = (serialization.dumps(item.as_message()) for item in items)
    while chunk := list(islice(texts, _CHUNK)):
        yield chunk
