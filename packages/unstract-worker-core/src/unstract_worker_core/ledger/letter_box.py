"""Dead letters one by one, for operators: each is told by an id that is made from what it says."""

from collections.abc import Iterator
from functools import partial
from hashlib import sha256

from attrs import frozen
from redis import Redis

from unstract_worker_core import serialization
from unstract_worker_core.ledger.dead_letters import KEY, DeadLetter
from unstract_worker_core.ledger.steps import Steps

__all__ = ["KeptLetter", "LetterBox"]

_CHUNK = 200


@frozen
class KeptLetter:
    """A letter as it is kept. `raw` is its record, `id` what people call it by."""

    id: str
    letter: DeadLetter
    raw: str


class LetterBox:
    """Reads and removes single letters; the list itself is bounded by WORKER_DEAD_LETTER_LIMIT. Raises LedgerError."""

    def __init__(self, redis: Redis) -> None:
        """Nothing is asked yet."""
        self._redis = redis
        self._steps = Steps(redis)

    def letters(self, offset: int = 0) -> Iterator[KeptLetter]:
        """Letters from a place in the list on, the newest first, read in chunks."""
        while True:
            some = self._steps.attempt("letters", partial(self._redis.lrange, KEY, offset, offset + _CHUNK - 1))
            for raw in some:
                yield KeptLetter(sha256(raw.encode()).hexdigest()[:12], serialization.decode(raw, DeadLetter), raw)
            if len(some) < _CHUNK:
                return
            offset += _CHUNK

    def count(self) -> int:
        """How many letters are kept."""
        return int(self._steps.attempt("letters", lambda: self._redis.llen(KEY)))

    def find(self, letter_id: str) -> KeptLetter | None:
        """The letter of this id."""
        return next((kept for kept in self.letters() if kept.id == letter_id), None)

    def remove(self, kept: KeptLetter) -> None:
        """Take a letter out; no harm if it is gone."""
        self._steps.attempt("letters", lambda: self._redis.lrem(KEY, 1, kept.raw))
