"""The run ledger, read from its keys in Redis: nothing is written, and what is not understood is shown as it is.

The stack knows only this much: open runs are members of `uw:open`, a run is the hash `uw:{ID}:meta`, its leases and
outcomes are hashes beside it, and `uw:due` says when it is looked at next (milliseconds).
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

import redis
from attrs import evolve, frozen
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_devstack.page.shapes import Batch, DeadLetter, LedgerState, Run

__all__ = ["LedgerKeys"]

PREFIX = "uw:"
DEAD_LETTERS = f"{PREFIX}dead_letters"
KNOWN = frozenset(
    [
        "state",
        "task",
        "kind",
        "organization",
        "epoch",
        "n",
        "attempts",
        "fence",
        "owner",
        "lease_ends",
        "accepted_at",
        "stop",
        "last_error",
    ]
)
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
            told = self.client.lrange(DEAD_LETTERS, 0, letters - 1) if put_aside else []
        except redis.RedisError as error:
            return LedgerState(problem=f"The ledger's Redis does not answer: {error}")
        return LedgerState(total, tuple(runs), tuple(_letter(str(text)) for text in told), put_aside)

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
        return _read(run_id, meta or {}, done, due)

    def _detailed(self, run: Run, limit: int) -> Run:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(run.id, "leases"))
            pipe.hkeys(_key(run.id, "outcomes"))
            leases, outcomes = (_unless_refused(answer) for answer in pipe.execute(raise_on_error=False))
        if run.state == "DONE":
            return run
        shown = range(min(run.batches or 0, limit))
        done = set(outcomes or ())
        details = (_batch(index, str(index) in done, (leases or {}).get(str(index))) for index in shown)
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


def _read(run_id: str, meta: Mapping[str, str], done: int | None, due: float | None) -> Run:
    return Run(
        id=run_id,
        state=meta.get("state", ""),
        task=meta.get("task", ""),
        kind=meta.get("kind", ""),
        organization=meta.get("organization", ""),
        epoch=_whole(meta.get("epoch")),
        batches=_whole(meta.get("n")),
        done=done,
        attempts=_whole(meta.get("attempts")),
        fence=_whole(meta.get("fence")),
        owner=meta.get("owner", ""),
        lease_ends=_seconds(meta.get("lease_ends")),
        accepted=_seconds(meta.get("accepted_at")),
        next_look=_seconds(due),
        stopped=bool(_whole(meta.get("stop"))),
        last_error=meta.get("last_error", ""),
        others=tuple(sorted((name, value) for name, value in meta.items() if name not in KNOWN)),
    )


def _batch(index: int, done: bool, lease: str | None) -> Batch:
    told = _object(lease)
    return Batch(
        index=index,
        done=done,
        owner=str(told.get("owner") or ""),
        fence=_whole(told.get("fence")) or 0,
        ends=_seconds(told.get("ends")),
        file=_whole(told.get("file")) or None,
    )


def _letter(text: str) -> DeadLetter:
    told = _object(text)
    words = (str(told.get(name) or "") for name in ("task", "queue", "reason", "at"))
    return DeadLetter(*words) if told else DeadLetter("", "", text, "")


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        told = json.loads(text or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _whole(told: Any) -> int | None:
    try:
        return int(told)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(milliseconds: Any) -> float | None:
    """Seconds since the epoch; None for none and for 0, which the ledger writes for never."""
    try:
        return float(milliseconds) / 1000 or None
    except (TypeError, ValueError):
        return None
