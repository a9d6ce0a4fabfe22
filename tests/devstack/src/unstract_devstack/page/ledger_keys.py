"""The run ledger, read from its keys in Redis: nothing is written, and what is not understood is shown as it is.

The stack knows only this much: open runs are members of `uw:open`, a run is the hash `uw:{ID}:meta`, its leases and
outcomes are hashes beside it, and `uw:due` says when it is looked at next (milliseconds).
"""

from itertools import islice
from typing import Any

import redis
from attrs import evolve, frozen
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_devstack.page.ledger_records import read_batch, read_letter, read_run
from unstract_devstack.page.shapes import LedgerState, Run

PREFIX = "uw:"
DEAD_LETTERS = f"{PREFIX}dead_letters"
ANSWER_SECONDS = 2.0


@frozen
class LedgerKeys:
    """The ledger in the Redis that `connect` connects to."""

    client: redis.Redis

    @classmethod
    def connect(cls, url: str) -> "LedgerKeys":
        """The ledger at a Redis URL; nothing is asked yet."""
        client = redis.Redis.from_url(
            url,
            decode_responses=True,
            encoding_errors="replace",
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        return cls(client)

    def state(self, *, limit: int, letters: int) -> LedgerState:
        """Up to `limit` open runs, those due first, and the newest dead letters."""
        try:
            total = int(self.client.scard(f"{PREFIX}open"))
            ids = list(islice(self.client.sscan_iter(f"{PREFIX}open"), limit)) if total else []
            runs = sorted((self._run(run_id) for run_id in ids), key=lambda run: (run.next_look or 0, run.id))
            put_aside = int(self.client.llen(DEAD_LETTERS))
            texts = self.client.lrange(DEAD_LETTERS, 0, letters - 1) if put_aside else []
        except redis.RedisError as error:
            return LedgerState(problem=f"The ledger's Redis does not answer: {error}")
        return LedgerState(total, tuple(runs), tuple(read_letter(str(text)) for text in texts), put_aside)

    def run(self, run_id: str, *, batches: int) -> Run | None:
        """One run with up to `batches` of its batches; None where the ledger does not know it or does not answer."""
        try:
            run = self._run(run_id)
            if not run.state:
                return None
            return self._detailed(run, batches)
        except redis.RedisError:
            return None

    def _run(self, run_id: str) -> Run:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(run_id, "meta"))
            pipe.hlen(_key(run_id, "outcomes"))
            pipe.zscore(f"{PREFIX}due", run_id)
            meta, done, due = (_unless_refused(answer) for answer in pipe.execute(raise_on_error=False))
        return read_run(run_id, meta or {}, done, due)

    def _detailed(self, run: Run, limit: int) -> Run:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(run.id, "leases"))
            pipe.hkeys(_key(run.id, "outcomes"))
            leases, outcomes = (_unless_refused(answer) for answer in pipe.execute(raise_on_error=False))
        if run.state == "DONE":
            return run
        shown = range(min(run.batches or 0, limit))
        done = set(outcomes or ())
        details = (read_batch(index, str(index) in done, (leases or {}).get(str(index))) for index in shown)
        return evolve(run, details=tuple(details))


def _key(run_id: str, part: str) -> str:
    return f"{PREFIX}{{{run_id}}}:{part}"


def _unless_refused(answer: Any) -> Any:
    """The answer, or None where Redis refused the command: the key is something else by now."""
    if isinstance(answer, redis.ResponseError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer
