"""Messages that can never be processed: a bounded list, newest first, with the reason."""

from attrs import evolve, frozen

from unstract_worker_core import serialization
from unstract_worker_core.ledger.steps import Steps

__all__ = ["KEY", "DeadLetter", "DeadLetters"]

KEY = "uw:dead_letters"
_BODY_LIMIT = 4096


@frozen
class DeadLetter:
    """A rejected message: where it came from, why, and its body (redacted by the caller, cut to 4 KiB)."""

    task: str
    queue: str
    reason: str
    task_id: str = ""
    body: str = ""
    at: str = ""


class DeadLetters:
    """The bounded list in the ledger's Redis."""

    def __init__(self, steps: Steps, *, limit: int) -> None:
        self._steps = steps
        self._limit = limit

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter; beyond the limit the oldest goes."""
        whole = evolve(letter, task=_clean(letter.task), reason=_clean(letter.reason), body=_clean(letter.body))
        text = serialization.encode(whole)
        self._steps.attempt("dead_letter", lambda: self._push(text))

    def list(self, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The newest letters."""
        raw = self._steps.attempt("dead_letters", lambda: self._steps.redis.lrange(KEY, 0, limit - 1))
        return tuple(serialization.decode(entry, DeadLetter) for entry in raw)

    def count(self) -> int:
        """How many letters are kept."""
        return int(self._steps.attempt("dead_letters", lambda: self._steps.redis.llen(KEY)))

    def _push(self, text: str) -> None:
        with self._steps.redis.pipeline(transaction=True) as pipe:
            pipe.lrem(KEY, 1, text)  # a repeated attempt, or the same message again
            pipe.lpush(KEY, text)
            pipe.ltrim(KEY, 0, self._limit - 1)
            pipe.execute()


def _clean(text: str) -> str:
    return text[:_BODY_LIMIT].encode(errors="replace").decode()
