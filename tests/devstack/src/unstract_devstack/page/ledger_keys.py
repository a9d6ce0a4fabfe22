"""The run ledger, read from its keys in Redis: nothing is written, and what is not understood is shown as it is.

Unknown fields are kept aside, values that make no sense are None.

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

PREFIX = "uw:"
DEAD_LETTERS = f"{PREFIX}dead_letters"
ANSWER_SECONDS = 2.0
# What is known of a run's hash, and where it is shown; all else is shown as it is.
TEXTS = ("state", "task", "kind", "organization", "owner", "last_error")
NUMBERS = {"epoch": "epoch", "batches": "n", "attempts": "attempts", "fence": "fence"}
TIMES = {"lease_ends": "lease_ends", "accepted": "accepted_at"}
KNOWN = frozenset((*TEXTS, *NUMBERS.values(), *TIMES.values(), "stop"))


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
        return LedgerState(total, tuple(runs), tuple(_read_letter(str(text)) for text in texts), put_aside)

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
        return _read_run(run_id, meta or {}, done, due)

    def _detailed(self, run: Run, limit: int) -> Run:
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(_key(run.id, "leases"))
            pipe.hkeys(_key(run.id, "outcomes"))
            leases, outcomes = (_unless_refused(answer) for answer in pipe.execute(raise_on_error=False))
        if run.state == "DONE":
            return run
        shown = range(min(run.batches or 0, limit))
        done = set(outcomes or ())
        details = (_read_batch(index, str(index) in done, (leases or {}).get(str(index))) for index in shown)
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


def _read_run(run_id: str, meta: Mapping[str, str], done: int | None, due: float | None) -> Run:
    """A run from its hash, the number of batches done, and when it is due (milliseconds)."""
    known: dict[str, Any] = {name: meta.get(name, "") for name in TEXTS}
    known |= {name: _whole(meta.get(field)) for name, field in NUMBERS.items()}
    known |= {name: _seconds(meta.get(field)) for name, field in TIMES.items()}
    others = tuple(sorted((name, value) for name, value in meta.items() if name not in KNOWN))
    stopped = bool(_whole(meta.get("stop")))
    return Run(run_id, **known, done=done, next_look=_seconds(due), stopped=stopped, others=others)


def _read_batch(index: int, done: bool, lease: str | None) -> Batch:
    record = _object(lease)
    return Batch(
        index=index,
        done=done,
        owner=str(record.get("owner") or ""),
        fence=_whole(record.get("fence")) or 0,
        ends=_seconds(record.get("ends")),
        file=_whole(record.get("file")) or None,
    )


def _read_letter(text: str) -> DeadLetter:
    """A dead letter; what is no JSON object is its own reason."""
    record = _object(text)
    words = (str(record.get(name) or "") for name in ("task", "queue", "reason", "at"))
    return DeadLetter(*words) if record else DeadLetter("", "", text, "")


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        record = json.loads(text or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}


def _whole(record: Any) -> int | None:
    try:
        return int(record)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(milliseconds: Any) -> float | None:
    """Seconds since the epoch; None for none and for 0, which the ledger writes for never."""
    try:
        return float(milliseconds) / 1000 or None
    except (TypeError, ValueError):
        return None
