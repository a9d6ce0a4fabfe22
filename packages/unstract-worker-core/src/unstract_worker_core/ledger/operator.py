"""What operators read of the ledger, and their one step: make a run due now. Works beside running workers.

Reads are pipelined and bounded: a page of the due index at a time. Only an id that was shortened and is of no open run
is looked for among all keys. Nothing here is called by a worker.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.resources import files
from typing import Any

from attrs import evolve, frozen
from redis import Redis
from redis.exceptions import NoPermissionError

from unstract_worker_core import serialization
from unstract_worker_core.ledger.records import FinalState, RunContext, RunState
from unstract_worker_core.ledger.store import LedgerStore
from unstract_worker_core.ledger.views import (
    FIELDS,
    Page,
    PendingAnswer,
    RawRun,
    RunDetail,
    RunView,
    Work,
    pending_answers,
    raw_run,
    seconds_since,
    view_of,
)

_CHUNK = 200
_SHOWN_BATCHES = 1000
_AT_ONCE = 5000
_ID_START = re.compile(r"[A-Za-z0-9._:-]+")  # nothing that means more in a pattern of Redis
# Of a run with more requests to an executor, which files wait for an answer is not read.
_READ_REQUESTS = 2000


@frozen
class Retried:
    """What asking for another look did. `held`: the leases that are live and were left alone."""

    state: RunState | None
    held: int


class Operator:
    """Reads runs for people. Raises LedgerError where Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        """Nothing is asked yet."""
        self._redis = redis
        self._store = LedgerStore(redis)
        folder = files("unstract_worker_core.ledger") / "scripts"
        self._retry = redis.register_script((folder / "prelude.lua").read_text() + (folder / "retry.lua").read_text())

    def page(self, *, limit: int, offset: int = 0, wanted: Callable[[RunView], bool] = lambda run: True) -> Page:
        """At most `limit` open runs that are `wanted`, the longest due first, from a place in that order."""
        total = int(self._store.attempt("open", lambda: self._redis.scard("uw:open")))
        found: list[RunView] = []
        for place, view in self._from(offset):
            if view.state is RunState.DONE or not wanted(view):
                continue
            if len(found) == limit:
                return Page(self._with_answers(found), total, place)
            found.append(view)
        return Page(self._with_answers(found), total, None)

    def matching(self, start: str) -> tuple[str, ...]:
        """The ids that `start` may mean: itself where it is one, else the open runs' that begin with it, else others'.

        Finished runs have no index: they are found only where the Redis user may SCAN.
        """
        if not _ID_START.fullmatch(start):
            return ()
        if self._store.attempt("known", lambda: self._redis.hexists(_key(start, "meta"), "state")):
            return (start,)
        found = self._store.attempt("matching", lambda: set(self._redis.sscan_iter("uw:open", f"{start}*", _AT_ONCE)))
        return tuple(sorted(found or self._store.attempt("matching", lambda: self._of_any_state(start))))

    def _of_any_state(self, start: str) -> set[str]:
        try:
            keys = list(self._redis.scan_iter(f"uw:{{{start}*}}:meta", _AT_ONCE))
        except NoPermissionError:
            return set()
        return {key.removeprefix("uw:{").removesuffix("}:meta") for key in keys}

    def view(self, run_id: str) -> RunView | None:
        """One run, also a finished one as long as its tombstone is kept; None where the ledger does not know it."""
        raw = self._raw([run_id])[0]
        return None if raw is None else self._with_answers([view_of(raw)])[0]

    def detail(self, run_id: str) -> RunDetail | None:
        """All that can be shown of a run; None where the ledger does not know it."""
        raw = self._raw([run_id])[0]
        if raw is None:
            return None
        (view,), final = self._with_answers([view_of(raw)]), raw.meta.get("final")
        detail = RunDetail(
            run=view,
            epoch=int(raw.number("epoch")),
            rings=int(raw.number("rings")),
            final=serialization.decode(final, FinalState) if final else None,
            done_ago=seconds_since(raw, "done_at"),
        )
        return detail if view.state is RunState.DONE else self._with_work(detail, raw)

    def retry(self, run_id: str, *, fresh: bool = True) -> Retried:
        """Make a run due now, as if it had not been rung for. `fresh`: its failed attempts are forgotten."""
        state, held = self._store.attempt("retry", lambda: self._retry(args=[run_id, "1" if fresh else "0"]))
        return Retried(RunState(state) if state else None, int(held))

    def _from(self, offset: int) -> Iterator[tuple[int, RunView]]:
        while True:
            read = partial(self._redis.zrange, "uw:due", offset, offset + _CHUNK - 1)
            ids = self._store.attempt("due", read)
            for place, raw in enumerate(self._raw(ids), start=offset):
                if raw is not None:
                    yield place, view_of(raw)
            if len(ids) < _CHUNK:
                return
            offset += _CHUNK

    def _raw(self, ids: Sequence[str]) -> list[RawRun | None]:
        def read() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                for run_id in ids:
                    pipe.hmget(_key(run_id, "meta"), FIELDS)
                    pipe.hlen(_key(run_id, "outcomes"))
                    pipe.hgetall(_key(run_id, "leases"))
                    pipe.zscore("uw:due", run_id)
                return list(pipe.execute())

        (seconds, micros), *answers = self._store.attempt("views", read)
        now = float(seconds) * 1000 + float(micros) / 1000
        quarters = [answers[start : start + 4] for start in range(0, len(answers), 4)]
        return [raw_run(run_id, now, *parts) for run_id, parts in zip(ids, quarters, strict=True)]

    def _with_answers(self, views: Sequence[RunView]) -> tuple[RunView, ...]:
        """The runs, each with the files that wait for an executor's answer."""
        armed = [view.run_id for view in views if view.state is RunState.ARMED]

        def count() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                for run_id in armed:
                    pipe.hlen(_key(run_id, "requests"))
                return list(pipe.execute())

        (seconds, micros), *counts = self._store.attempt("requests", count) if armed else [(0, 0)]
        asked = [run_id for run_id, number in zip(armed, counts, strict=True) if 0 < number <= _READ_REQUESTS]
        pending = self._pending(asked, float(seconds) * 1000 + float(micros) / 1000)
        return tuple(evolve(view, answers_pending=pending.get(view.run_id, ())) for view in views)

    def _pending(self, ids: Sequence[str], now: float) -> dict[str, tuple[PendingAnswer, ...]]:
        def read() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                for run_id in ids:
                    pipe.hgetall(_key(run_id, "requests"))
                    for part in ("answers", "executed", "results"):
                        pipe.hkeys(_key(run_id, part))
                return list(pipe.execute())

        parts = self._store.attempt("answers", read) if ids else []
        return {
            run_id: pending_answers(now, parts[4 * at], set().union(*parts[4 * at + 1 : 4 * at + 4]))
            for at, run_id in enumerate(ids)
        }

    def _with_work(self, detail: RunDetail, raw: RawRun) -> RunDetail:
        run_id, redis = raw.run_id, self._redis

        def read() -> list[Any]:
            with redis.pipeline(transaction=False) as pipe:
                pipe.hkeys(_key(run_id, "journal"))
                pipe.get(_key(run_id, "context"))
                pipe.hgetall(_key(run_id, "charges"))
                pipe.hkeys(_key(run_id, "outcomes"))
                pipe.hkeys(_key(run_id, "results"))
                pipe.hgetall(_key(run_id, "rung"))
                pipe.zrange(_key(run_id, "rings"), 0, -1, withscores=True)
                numbers = [str(number) for number in range(min(detail.run.batches, _SHOWN_BATCHES))]
                if numbers:
                    pipe.hmget(_key(run_id, f"batches:{detail.epoch}"), numbers)
                return list(pipe.execute())

        journal, context, charges, done, recorded, rung, rings, *batches = self._store.attempt("detail", read)
        shared = serialization.decode(context, RunContext) if context else None
        work = Work(set(done), set(recorded), rung, dict(rings))
        return RunDetail(
            run=detail.run,
            epoch=detail.epoch,
            rings=detail.rings,
            journal=tuple(sorted(journal)),
            workflow_id=shared.workflow_id if shared else "",
            pipeline_id=shared.pipeline_id if shared else None,
            total_files=shared.total_files if shared else 0,
            batches=tuple(work.batch(raw, number, text) for number, text in enumerate(batches[0] if batches else [])),
            charges=tuple(sorted((int(number), int(count)) for number, count in charges.items())),
        )


def _key(run_id: str, part: str) -> str:
    return f"uw:{{{run_id}}}:{part}"
