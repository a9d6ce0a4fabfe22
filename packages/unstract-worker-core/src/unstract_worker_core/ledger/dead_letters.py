"""Dead letters: messages and runs that can never be processed; a bounded list in the ledger's Redis, newest first."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256

from attrs import evolve, frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.queues import queue_for
from unstract_worker_core.redis import call_redis

_KEY = "uw:dead_letters"
_BODY_LIMIT = 4096
_CHUNK = 200
# How many of the newest dead letters are searched for one of the same message.
_RECENT = 100


@frozen
class DeadLetter:
    """What could not be processed, and why.

    Attributes:
        task: the task's name, or "orchestrate" and "finalise" for a run that was given up.
        queue: where it came from.
        task_id: the message's id, or the run's.
        body: of the message, redacted by the caller, cut to 4 KiB.
        at: when it was stored (ISO 8601, UTC); set by the store.
    """

    task: str
    queue: str
    reason: str
    task_id: str = ""
    body: str = ""
    at: str = ""


@frozen
class StoredDeadLetter:
    """A stored dead letter. `raw` is its record, `id` the name that operators give to the commands."""

    id: str
    letter: DeadLetter
    raw: str


class DeadLetterStore:
    """The list. Every method raises LedgerError."""

    def __init__(self, redis: Redis, *, limit: int) -> None:
        """`limit`: how many are kept (WORKER_DEAD_LETTER_LIMIT)."""
        self._redis = redis
        self._limit = limit

    def add(self, letter: DeadLetter) -> None:
        """Store one with the current time, replacing one of the same message; beyond the limit the oldest goes."""
        letter = evolve(
            letter,
            task=_clean(letter.task),
            queue=letter.queue or queue_for(letter.task) or "",
            reason=_clean(letter.reason),
            body=_clean(letter.body),
            at=datetime.now(UTC).isoformat(timespec="microseconds"),
        )
        call_redis(self._redis, "dead_letter", partial(self._push, letter))

    def newest(self, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The newest dead letters."""
        return tuple(stored.letter for stored in self._read(0, limit))

    def stored(self, offset: int = 0) -> Iterator[StoredDeadLetter]:
        """Dead letters from an offset on, the newest first, read in chunks."""
        while True:
            some = self._read(offset, _CHUNK)
            yield from some
            if len(some) < _CHUNK:
                return
            offset += _CHUNK

    def count(self) -> int:
        """How many dead letters are kept."""
        return int(call_redis(self._redis, "dead_letters", partial(self._redis.llen, _KEY)))

    def matching(self, start: str) -> tuple[StoredDeadLetter, ...]:
        """The dead letters whose ids begin with `start`."""
        return tuple(stored for stored in self.stored() if stored.id.startswith(start))

    def remove(self, stored: StoredDeadLetter) -> None:
        """Remove one; harmless if it is gone."""
        call_redis(self._redis, "dead_letters", partial(self._redis.lrem, _KEY, 1, stored.raw))

    def _read(self, offset: int, number: int) -> list[StoredDeadLetter]:
        some = call_redis(self._redis, "dead_letters", partial(self._redis.lrange, _KEY, offset, offset + number - 1))
        return [StoredDeadLetter(sha256(raw.encode()).hexdigest()[:12], _parsed(raw), raw) for raw in map(str, some)]

    def _push(self, letter: DeadLetter) -> None:
        """Repeatable: one of the same message, as after a lost answer or a worker's death, is replaced."""
        before = [
            stored.raw
            for stored in (self._read(0, _RECENT) if letter.task_id else ())
            if evolve(stored.letter, at=letter.at) == letter
        ]
        with self._redis.pipeline(transaction=True) as pipe:
            for raw in before:
                pipe.lrem(_KEY, 1, raw)
            pipe.lpush(_KEY, serialization.encode(letter))
            pipe.ltrim(_KEY, 0, self._limit - 1)
            pipe.execute()


def _parsed(raw: str) -> DeadLetter:
    """One record. One that cannot be read neither hides the others nor prevents a new one."""
    try:
        return serialization.decode(raw, DeadLetter)
    except MessageError as error:
        return DeadLetter(task="", queue="", reason=f"this record cannot be read: {error}", body=_clean(raw))


def _clean(text: str) -> str:
    return text[:_BODY_LIMIT].encode(errors="replace").decode()
