"""What operators read of the ledger, and their one step: make a run due now. Works beside running workers.

Reads are pipelined and bounded: a page of the due index at a time. Only a shortened id that matches no open run is
searched for among all keys. Payloads, file names' contents and webhook arguments are not read; no worker calls this.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.resources import files
from typing import Any

import structlog
from attrs import evolve, frozen
from redis import Redis
from redis.exceptions import NoPermissionError

from unstract_worker_core import serialization
from unstract_worker_core.ledger.batches import read_request
from unstract_worker_core.ledger.records import FinalState, RunContext, RunState, RunTask
from unstract_worker_core.ledger.views import BatchView, Page, PendingAnswer, Retried, RunDetail, RunView
from unstract_worker_core.redis import call_redis
from unstract_worker_core.statuses import RunKind

log = structlog.get_logger(__name__)

_CHUNK, _AT_ONCE, _SHOWN_BATCHES = 200, 5000, 1000
_ID_START = re.compile(r"[A-Za-z0-9._:-]+")  # no character with a meaning in a Redis pattern
# In a run with more requests to an executor than this, the files that wait for an answer are not read.
_READ_REQUESTS = 2000
_FIELDS = (
    "state", "task", "kind", "organization", "n", "attempts", "owner", "lease_ends", "accepted_at", "progress", "stop",
    "last_error", "epoch", "rings", "final", "done_at",
)  # fmt: skip


@frozen
class _Record:
    """What Redis said about one run, and when (`now`, in milliseconds, as all times of the ledger)."""

    run_id: str
    meta: dict[str, str]
    done: int
    leases: dict[str, Any]
    due: float | None
    requests: int
    now: float

    def number(self, field: str) -> float:
        return float(self.meta.get(field) or 0)

    def seconds_since(self, field: str) -> float:
        return (self.now - self.number(field)) / 1000

    def owner(self, lease: Mapping[str, Any]) -> str:
        """Who holds a batch's lease; empty once it has lapsed."""
        return owner_of(lease["owner"]) if lease.get("owner") and float(lease.get("ends") or 0) > self.now else ""


class Operator:
    """Reads runs for people. Raises LedgerError where Redis does not answer."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        folder = files("unstract_worker_core.ledger") / "scripts"
        self._retry = redis.register_script((folder / "prelude.lua").read_text() + (folder / "retry.lua").read_text())

    def page(self, *, limit: int, offset: int = 0, wanted: Callable[[RunView], bool] = lambda run: True) -> Page:
        """At most `limit` open runs that are `wanted`, the longest due first, from a place in that order."""
        total = int(self._call("open", lambda: self._redis.scard("uw:open")))
        found: list[_Record] = []
        for place, record in self._from(offset):
            view = _view(record)
            if view.state is RunState.DONE or not wanted(view):
                continue
            if len(found) == limit:
                return Page(self._views(found), total, place)
            found.append(record)
        return Page(self._views(found), total, None)

    def matching(self, start: str) -> tuple[str, ...]:
        """The ids that `start` may mean: itself if complete, else open runs' that begin so, else finished runs'.

        Finished runs have no index: they are found only where the Redis user may SCAN.
        """
        if not _ID_START.fullmatch(start):
            return ()
        if self._call("known", lambda: self._redis.hexists(_key(start, "meta"), "state")):
            return (start,)
        return tuple(sorted(self._call("matching", partial(self._beginning_with, start))))

    def _beginning_with(self, start: str) -> set[str]:
        found = set(self._redis.sscan_iter("uw:open", f"{start}*", _AT_ONCE))
        with suppress(NoPermissionError):
            if not found:
                keys = self._redis.scan_iter(f"uw:{{{start}*}}:meta", _AT_ONCE)
                found = {key.removeprefix("uw:{").removesuffix("}:meta") for key in keys}
        return found

    def view(self, run_id: str) -> RunView | None:
        """One run, also a finished one as long as its tombstone is kept; None where the ledger does not know it."""
        return next(iter(self._views(self._records([run_id]))), None)

    def detail(self, run_id: str) -> RunDetail | None:
        """All that can be shown of a run; None where the ledger does not know it."""
        record = next(iter(self._records([run_id])), None)
        if record is None:
            return None
        (view,), final = self._views([record]), record.meta.get("final")
        detail = RunDetail(
            run=view,
            epoch=int(record.number("epoch")),
            rings=int(record.number("rings")),
            final=serialization.decode(final, FinalState) if final else None,
            done_ago=record.seconds_since("done_at") if record.meta.get("done_at") else None,
        )
        return detail if view.state is RunState.DONE else self._with_work(detail, record)

    def retry(self, run_id: str, *, fresh: bool = True) -> Retried:
        """Make a run due now, as if it had not been rung for. `fresh`: its failed attempts are forgotten."""
        state, held = self._call("retry", lambda: self._retry(args=[run_id, "1" if fresh else "0"]))
        return Retried(RunState(state) if state else None, int(held))

    def _call(self, step: str, call: Callable[[], Any]) -> Any:
        return call_redis(self._redis, step, call)

    def _pipelined(self, step: str, ask: Callable[[Any], None]) -> list[Any]:
        def read() -> list[Any]:
            with self._redis.pipeline(transaction=False) as pipe:
                ask(pipe)
                return list(pipe.execute())

        return list(self._call(step, read))

    def _from(self, offset: int) -> Iterator[tuple[int, _Record]]:
        while True:
            ids = self._call("due", partial(self._redis.zrange, "uw:due", offset, offset + _CHUNK - 1))
            places = {run_id: place for place, run_id in enumerate(ids, start=offset)}
            yield from ((places[record.run_id], record) for record in self._records(ids))
            if len(ids) < _CHUNK:
                return
            offset += _CHUNK

    def _records(self, ids: Sequence[str]) -> list[_Record]:

        def ask(pipe: Any) -> None:
            pipe.time()
            for run_id in ids:
                pipe.hmget(_key(run_id, "meta"), _FIELDS)
                pipe.hlen(_key(run_id, "outcomes"))
                pipe.hgetall(_key(run_id, "leases"))
                pipe.zscore("uw:due", run_id)
                pipe.hlen(_key(run_id, "requests"))

        (seconds, micros), *answers = self._pipelined("views", ask)
        now, found = float(seconds) * 1000 + float(micros) / 1000, []
        for at, run_id in enumerate(ids):
            values, done, leases, due, requests = answers[5 * at : 5 * at + 5]
            meta = {name: value for name, value in zip(_FIELDS, values, strict=True) if value is not None}
            if "state" in meta and _is_known(run_id, meta):
                read = {batch: json.loads(text) for batch, text in leases.items()}
                found.append(_Record(run_id, meta, int(done), read, due, int(requests), now))
        return found

    def _views(self, records: Sequence[_Record]) -> tuple[RunView, ...]:
        waiting = (each for each in records if 0 < each.requests <= _READ_REQUESTS)
        asked = [each for each in waiting if each.meta["state"] == RunState.ARMED]

        def ask(pipe: Any) -> None:
            for record in asked:
                pipe.hgetall(_key(record.run_id, "requests"))
                for part in ("answers", "executed", "results"):
                    pipe.hkeys(_key(record.run_id, part))

        parts = self._pipelined("answers", ask) if asked else []
        pending = {
            record.run_id: tuple(_pending(record.now, parts[4 * at], set().union(*parts[4 * at + 1 : 4 * at + 4])))
            for at, record in enumerate(asked)
        }
        return tuple(evolve(_view(each), answers_pending=pending.get(each.run_id, ())) for each in records)

    def _with_work(self, detail: RunDetail, record: _Record) -> RunDetail:
        key = partial(_key, record.run_id)
        numbers = [str(number) for number in range(min(detail.run.batches, _SHOWN_BATCHES))]

        def ask(pipe: Any) -> None:
            pipe.hkeys(key("journal"))
            pipe.get(key("context"))
            pipe.hgetall(key("charges"))
            pipe.hkeys(key("outcomes"))
            pipe.hkeys(key("results"))
            pipe.hgetall(key("rung"))
            pipe.zrange(key("rings"), 0, -1, withscores=True)
            if numbers:
                pipe.hmget(key(f"batches:{detail.epoch}"), numbers)

        journal, context, charges, done, recorded, rung, rings, *batches = self._pipelined("detail", ask)
        shared, due = serialization.decode(context, RunContext) if context else None, dict(rings)
        views = (
            _batch_view(
                record, number, text, recorded, done=number in done, rung=int(rung.get(number, 0)), due=due.get(number)
            )
            for number, text in zip(numbers, batches[0] if batches else (), strict=True)
        )
        return evolve(
            detail,
            journal=tuple(sorted(journal)),
            workflow_id=shared.workflow_id if shared else "",
            pipeline_id=shared.pipeline_id if shared else None,
            total_files=shared.total_files if shared else 0,
            batches=tuple(views),
            charges=tuple(sorted((int(number), int(count)) for number, count in charges.items())),
        )


def owner_of(token: str) -> str:
    """Instance and process in a claim's token (see `Runtime.token`); the rest makes the token unique."""
    instance, _, rest = token.partition(":")
    process = rest.partition(":")[0]
    return f"{instance}:{process}" if process else instance


def _is_known(run_id: str, meta: Mapping[str, str]) -> bool:
    """Whether this version knows what the run is; one that a later version wrote does not hide the others."""
    try:
        known = (RunState(meta["state"]), RunTask(meta["task"]), RunKind(meta["kind"]))
    except (KeyError, ValueError) as error:
        log.warning("a run of the ledger is unreadable for this version", run_id=run_id, reason=str(error))
        return False
    return bool(known)


def _view(record: _Record) -> RunView:
    meta = record.meta
    own = {"owner": meta.get("owner"), "ends": meta.get("lease_ends")}
    return RunView(
        run_id=record.run_id,
        state=RunState(meta["state"]),
        task=RunTask(meta["task"]),
        kind=RunKind(meta["kind"]),
        organization_id=meta.get("organization", ""),
        batches=int(record.number("n")),
        done=record.done,
        attempts=int(record.number("attempts")),
        owners=tuple(sorted({record.owner(each) for each in (own, *record.leases.values())} - {""})),
        age=record.seconds_since("accepted_at"),
        idle=record.seconds_since("progress"),
        next_look=None if record.due is None else (record.due - record.now) / 1000,
        stop=meta.get("stop") == "1",
        last_error=meta.get("last_error", ""),
    )


def _batch_view(
    record: _Record,
    number: str,
    files: str | None,
    recorded: Collection[str],
    *,
    done: bool,
    rung: int,
    due: float | None,
) -> BatchView:
    """A batch from its record (JSON) and what the ledger holds about it. `recorded`: all files with an outcome."""
    ids = tuple(int(file["number"]) for file in json.loads(files)) if files else ()
    lease = record.leases.get(number, {})
    owner = record.owner(lease)
    return BatchView(
        number=int(number),
        files=ids,
        recorded=sum(str(file) in recorded for file in ids),
        done=done,
        owner=owner,
        lease_seconds=(float(lease["ends"]) - record.now) / 1000 if owner else None,
        file_in_flight=int(lease.get("file") or 0) or None,
        rung=rung,
        next_ring=None if due is None or done else (due - record.now) / 1000,
    )


def _pending(now: float, requests: Mapping[str, str], answered: set[str]) -> list[PendingAnswer]:
    """The requests that are awaited at `now`, the oldest first. `answered`: numbers of files with an answer."""
    read = ((int(number), read_request(text, now)) for number, text in requests.items() if number not in answered)
    pending = (PendingAnswer(number, each.published, each.age_seconds, each.seconds_left) for number, each in read)
    return sorted((each for each in pending if each.left > 0), key=lambda each: -each.age)


def _key(run_id: str, part: str) -> str:
    return f"uw:{{{run_id}}}:{part}"
