"""The run ledger, read from its keys in Redis: nothing is written, and what is not understood is shown as it is.

The stack knows only this much: open runs are members of `uw:open`, a run is the hash `uw:{ID}:meta`, its leases and
outcomes are hashes beside it, and `uw:due` says when it is looked at next (milliseconds).
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice
from typing import Any

import redis
from attrs import evolve, frozen
from redis.backoff import NoBackoff
from redis.retry import Retry

PREFIX = "uw:"
DEAD_LETTERS = f"{PREFIX}dead_letters"
ANSWER_SECONDS = 2.0
# What has a place of its own on the page; all else is listed as it is.
KNOWN = frozenset(
    ("state", "task", "kind", "organization", "owner", "last_error", "epoch", "n", "attempts", "fence", "lease_ends")
) | {"accepted_at", "stop"}


@frozen
class Run:
    """A run of the ledger.

    Attributes:
        fields: its hash; what is not in it is empty.
        done: how many batches are, None where the ledger does not say.
        due: when it is looked at next, in milliseconds since the epoch.
        leases: who holds its first batches until when, and which file is in flight, as the ledger has it.
        outcomes: the batches that are done.
    """

    id: str
    fields: Mapping[str, str]
    done: int | None
    due: float | None
    leases: tuple[Mapping[str, Any], ...] = ()
    outcomes: frozenset[str] = frozenset()

    @property
    def others(self) -> list[tuple[str, str]]:
        """The fields that are not known here."""
        return sorted((name, value) for name, value in self.fields.items() if name not in KNOWN)

    @property
    def batches(self) -> int:
        """How many it has; 0 where that makes no sense."""
        return int(self.fields["n"]) if self.fields["n"].isdecimal() else 0


@frozen
class LedgerState:
    """The ledger as a whole: how many runs are open, some of them, and the dead letters."""

    total: int = 0
    runs: tuple[Run, ...] = ()
    letters: tuple[Mapping[str, Any], ...] = ()
    letters_total: int = 0
    problem: str = ""


@frozen
class LedgerKeys:
    """The ledger in the Redis that `connect` connects to."""

    client: redis.Redis

    @classmethod
    def connect(cls, url: str) -> "LedgerKeys":
        """The ledger at a Redis URL; nothing is asked yet."""
        times = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        options = {"decode_responses": True, "encoding_errors": "replace", "retry": Retry(NoBackoff(), 1)}
        return cls(redis.Redis.from_url(url, **times, **options))

    def state(self, *, limit: int, letters: int) -> LedgerState:
        """Up to `limit` open runs, those due first, and the newest dead letters."""
        try:
            total = int(self.client.scard(f"{PREFIX}open"))
            ids = list(islice(self.client.sscan_iter(f"{PREFIX}open"), limit)) if total else []
            runs = sorted((self._run(run_id) for run_id in ids), key=lambda run: (run.due or 0, run.id))
            dead = int(self.client.llen(DEAD_LETTERS))
            texts = self.client.lrange(DEAD_LETTERS, 0, letters - 1) if dead else []
        except redis.RedisError as error:
            return LedgerState(problem=f"The ledger's Redis does not answer: {error}")
        # What is no JSON object is its own reason.
        return LedgerState(total, tuple(runs), tuple(_object(str(text)) or {"reason": text} for text in texts), dead)

    def run(self, run_id: str, *, batches: int) -> Run | None:
        """One run with up to `batches` of its batches; None where the ledger does not know it or does not answer."""
        try:
            run = self._run(run_id, batches)
        except redis.RedisError:
            return None
        return run if run.fields["state"] else None

    def _run(self, run_id: str, batches: int = 0) -> Run:
        key = f"{PREFIX}{{{run_id}}}"
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hgetall(f"{key}:meta")
            pipe.hlen(f"{key}:outcomes")
            pipe.zscore(f"{PREFIX}due", run_id)
            if batches:
                pipe.hgetall(f"{key}:leases")
                pipe.hkeys(f"{key}:outcomes")
            meta, done, due, *rest = map(_unless_refused, pipe.execute(raise_on_error=False))
        leases, outcomes = (part or {} for part in rest or (None, None))
        run = Run(run_id, defaultdict(str, meta or {}), done, due, outcomes=frozenset(outcomes))
        shown = 0 if run.fields["state"] == "DONE" else min(run.batches, batches)
        return evolve(run, leases=tuple(_object(leases.get(str(index))) for index in range(shown)))


def _unless_refused(answer: Any) -> Any:
    """The answer, or None where Redis refused the command: the key is something else by now."""
    if isinstance(answer, redis.ResponseError):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        record = json.loads(text or "{}")
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
